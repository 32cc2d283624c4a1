"""Taggers that read by link: the song is shown while they need it, and no longer."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from plugin_core import JobState, Session, Settings
from plugin_core.errors import TransientError, UsageError
from plugin_core.model import Tagging
from plugin_core.stagers.public_url import PublicUrlSettings, PublicUrlStager
from plugin_core.tags.reader import read_fields
from tests.plugin_core.operations.running import tag
from tests.plugin_core.tagger_fakes import FakeStager, LinkedTagger, load_taggers
from tests.plugin_core.tags.tagged_files import names


def test_song_is_staged_for_submit_only_and_unstaged_at_the_end(home: Path, song: Path) -> None:
    tagger, stager = LinkedTagger(), FakeStager()
    with Session(Settings(home), load_taggers(tagger, stagers=(stager,))) as session:
        job, _ = tag(session, song)
    (order,) = tagger.submitted
    assert order.url.reveal() == f"https://shelf.example/{job.id}?signature=secret"
    assert (stager.seen, stager.staged) == ([job.id], {})
    assert b"signature=secret" not in (home / "jobs.sqlite3").read_bytes()


def test_hard_link_of_the_stager_is_no_name_of_the_song(home: Path, song: Path, tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    shelf = PublicUrlStager(PublicUrlSettings(base_url="https://shelf.example", folder=tmp_path / "shown"))
    (home / "config.toml").write_text('[tags]\nhard_links = "refuse"\n')
    with Session(Settings(home), load_taggers(LinkedTagger(), stagers=(shelf,))) as session:
        job, _ = tag(session, song)
    assert job.state is JobState.DONE
    assert job.written is not None
    assert job.written.notes == ()
    assert names(tmp_path / "shown") == []


def test_link_that_cannot_be_taken_back_costs_no_labels(
    home: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stager = FakeStager()
    calls: list[str] = []

    async def unstage(key: str) -> None:
        calls.append(key)
        if len(calls) == 1:
            raise TransientError("the shelf is closed")
        stager.staged.pop(key, None)

    monkeypatch.setattr(stager, "unstage", unstage)
    with Session(Settings(home), load_taggers(LinkedTagger(), stagers=(stager,))) as session:
        job, _ = tag(session, song)
    assert job.state is JobState.DONE
    assert read_fields(song)["mood"] == ("Calm",)
    assert stager.staged == {}


def test_song_staged_by_a_process_that_died_is_unstaged(home: Path, song: Path) -> None:
    tagger, stager = LinkedTagger(), FakeStager()
    tagger.submit_error = KeyboardInterrupt()  # type: ignore[assignment]
    plugins = load_taggers(tagger, stagers=(stager,))
    with pytest.raises(KeyboardInterrupt), Session(Settings(home), plugins) as session:
        tag(session, song)
    assert len(stager.staged) == 1
    with Session(Settings(home), plugins) as session:
        (job,) = session.store.list()
        asyncio.run(session.cancel(job.id))
    assert stager.staged == {}


def test_failed_stage_is_tried_again(home: Path, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger, stager = LinkedTagger(), FakeStager()
    calls: list[str] = []

    async def stage(path: Path, key: str) -> str:
        calls.append(key)
        if len(calls) == 1:
            raise TransientError("the bucket is away", retry_after=0.0)
        return "https://shelf.example/x"

    monkeypatch.setattr(stager, "stage", stage)
    with Session(Settings(home), load_taggers(tagger, stagers=(stager,))) as session:
        assert tag(session, song)[0].state is JobState.DONE
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("wanted", "stagers", "expected"),
    [
        ("", (), "no stager is set up"),
        ("", ("a", "b"), "several stagers are set up"),
        ("c", ("a",), "stager 'c', which is not set up"),
    ],
    ids=["none", "several", "unknown"],
)
def test_missing_stager_is_told_before_anything_is_spent(
    home: Path, song: Path, wanted: str, stagers: tuple[str, ...], expected: str
) -> None:
    tagger = LinkedTagger()
    tagger.stager = wanted
    plugins = load_taggers(tagger, stagers=tuple(FakeStager(name) for name in stagers))
    with Session(Settings(home), plugins) as session, pytest.raises(UsageError, match=expected):
        tag(session, song)


def test_what_was_bought_needs_no_stager(home: Path, song: Path) -> None:
    tagger, copy = LinkedTagger(), song.with_stem("Copy")
    shutil.copyfile(song, copy)
    with Session(Settings(home), load_taggers(tagger, stagers=(FakeStager(),))) as session:
        tag(session, song)
    tagger.account = lambda: "ears:renewed"  # type: ignore[method-assign]
    with Session(Settings(home), load_taggers(tagger)) as session:
        source = session.inspect(copy)
        offer = asyncio.run(session.offer(source, Tagging(provider="ears")))
        job, _ = asyncio.run(session.add(source, offer.plan))
        asyncio.run(session.run([job.id]))
        assert session.store.get(job.id).state is JobState.DONE
    assert read_fields(copy)["mood"] == ("Calm",) and len(tagger.submitted) == 1


def test_tagger_may_do_without_a_link(home: Path, song: Path) -> None:
    tagger = LinkedTagger()
    tagger.stager = None
    with Session(Settings(home), load_taggers(tagger)) as session:
        assert tag(session, song)[0].state is JobState.DONE
    assert tagger.submitted[0].url.reveal() == ""
