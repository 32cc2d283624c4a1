"""A file that our own tagging has just changed is known before the tagging is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from plugin_core.jobs.store import JobStore
from plugin_core.model import Job, JobState, Source, Tagging, Written, to_json
from plugin_core.operations import retagged, tagging
from plugin_core.operations.retagged import origin_of, written_just_now


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.sqlite3")


def job(folder: Path, **fields: object) -> Job:
    source = Source(
        path=folder / "Song.wav", device=1, inode=1, size=1, mtime_ns=1, content="before", duration=1.0, channels=2,
        frames=44100, sample_rate=44100, encoding="PCM_16",
    )  # fmt: skip
    plain = Job(
        id="id1", state=JobState.PUBLISHING, operation=Tagging(provider="ears"), source=source, account="ears",
        dedupe="key", created=0.0, updated=0.0,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **fields)


def keep_record(home: Path) -> None:
    folder = home / "staging" / "id1"
    folder.mkdir(parents=True)
    written = Written(path=home / "Song.wav", before="before", after="after")
    (folder / "written.json").write_bytes(to_json(written))


def test_record_is_read_where_taggings_keep_it() -> None:
    assert retagged._RECORD == tagging._RECORD


@pytest.mark.parametrize(
    ("prepare", "content", "before"),
    [
        (keep_record, "after", "before"),
        (keep_record, "something else", ""),
        (lambda home: None, "after", ""),
    ],
    ids=["just written", "another content", "nothing written"],
)
def test_tagging_that_is_not_done_tells_what_it_wrote(
    store: JobStore, tmp_path: Path, prepare: Callable[[Path], None], content: str, before: str
) -> None:
    prepare(tmp_path)
    store.add(job(tmp_path))
    assert written_just_now(store, tmp_path, content) == before
    assert origin_of(store, content) == content


def test_tagging_that_is_not_writing_yet_tells_nothing(store: JobStore, tmp_path: Path) -> None:
    keep_record(tmp_path)
    store.add(job(tmp_path, state=JobState.RUNNING))
    assert written_just_now(store, tmp_path, "after") == ""
