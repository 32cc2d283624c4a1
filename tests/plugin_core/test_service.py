from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import msgspec
import pytest
import soundfile

from plugin_core.errors import TransientError
from plugin_core.files.disk import explain_write_error
from plugin_core.model import Part, Progress, RemoteFile
from plugin_core.protocols import TOLD
from plugin_core.service import LOOKS, Pace, bring_all, name_result, part_files, prepared, without_secrets
from plugin_core.transfer.calls import Bytes, MissingError
from tests.audio_files import make_song
from tests.plugin_core.providers.mvsep.fakes import make_order


@pytest.mark.parametrize(("age", "seconds"), [(0, 5), (49, 5), (100, 10), (299, 29.9), (300, 30), (1e9, 30)])
def test_looks_become_rarer(age: float, seconds: float) -> None:
    assert Pace(5.0, 30.0).wait(age) == pytest.approx(seconds)


def test_a_result_that_cannot_be_brought_is_named_by_its_stem_and_song(tmp_path: Path) -> None:
    files = tuple(RemoteFile(label=stem, stem=stem, name=f"{stem}.flac") for stem in ("vocals", "lead-guitar"))
    order = msgspec.structs.replace(make_order(tmp_path, Path("/music/My Song.flac")), results=files)

    async def bring(index: int, file: RemoteFile, _tell: Bytes) -> Part:
        path = order.folder / name_result(index, file.stem, ".flac")
        if index:
            raise explain_write_error(part_files(order, path)[0], OSError(errno.ENOSPC, "full"))
        return Part(stem=file.stem, label=file.label, path=path)

    with pytest.raises(TransientError) as caught:
        asyncio.run(bring_all(order, lambda _progress: None, bring))
    assert caught.value.message == "Lead Guitar of My Song.flac cannot be written: no space left on the disk"


def test_what_is_missing_is_looked_for_and_then_left_out_unless_all_of_it_is(tmp_path: Path) -> None:
    files = tuple(RemoteFile(label=stem, stem=stem, name=stem) for stem in ("vocals", "bass", "drums"))
    order = msgspec.structs.replace(make_order(tmp_path), results=files)
    gone = {"bass", "drums"}

    async def bring(_index: int, file: RemoteFile, _tell: Bytes) -> Part:
        if file.stem in gone:
            raise MissingError(f"{file.stem} is gone")
        return Part(stem=file.stem, label=file.label, path=order.folder / file.stem)

    def fetch() -> list[str]:
        return [part.stem for part in asyncio.run(bring_all(order, lambda _progress: None, bring))]

    for _ in range(LOOKS - 1):
        with pytest.raises(TransientError, match="bass is gone"):
            fetch()
    for _ in range(2):
        assert fetch() == ["vocals"]
    what = "made by the service, and not to be had"
    assert order.note[TOLD] == f"bass: {what}: bass is gone; drums: {what}: drums is gone"
    gone.add("vocals")
    with pytest.raises(MissingError):
        fetch()
    gone.clear()
    assert fetch() == ["vocals", "bass", "drums"]


@pytest.mark.parametrize("is_own", [False, True], ids=["the song itself", "a copy"])
def test_what_was_sent_goes_if_it_is_ours_and_stays_to_be_sent_again(tmp_path: Path, is_own: bool) -> None:
    song = tmp_path / f"Song.{'wav' if is_own else 'flac'}"
    soundfile.write(song, make_song(0.2) * (4 if is_own else 1), 44100, subtype="FLOAT" if is_own else "PCM_16")
    before = song.read_bytes()
    order = make_order(tmp_path, song)
    heard: list[Progress] = []

    async def send(problem: Exception | None = None) -> Path:
        async with prepared(order, heard.append) as (upload, tell):
            assert upload.path.is_file()
            assert (upload.path == song) is not is_own
            if problem is not None:
                raise problem
            tell(1, 2)
            tell(3, 2)
            tell(3, None)
            return upload.path

    with pytest.raises(TransientError):
        asyncio.run(send(TransientError("no answer")))
    assert len({*tmp_path.iterdir()} - {song}) == is_own
    sent = asyncio.run(send())
    assert sent.exists() is not is_own
    assert song.read_bytes() == before
    assert [told.fraction for told in heard[-3:]] == [0.5, 1.0, None]
    assert all(told.note.startswith("uploading") for told in heard[-3:])
    assert ("full scale" in order.note.get(TOLD, "")) is is_own


def test_links_are_kept_without_what_gives_access() -> None:
    told = {"url": "https://a.example/b.flac?sig=1&x=2#y", "text": "see 1ftp+x://a/b?q, or c?d", "list": ["//a?b"]}
    kept = '{"url": "https://a.example/b.flac", "text": "see 1ftp+x://a/b or c?d", "list": ["//a?b"]}'
    assert without_secrets(told) == kept
