"""Choosing the kind of digest, and giving up when asked."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from plugin_core.errors import SourceError
from plugin_core.recordings import digest as module
from plugin_core.recordings.content import raw1, shape_of
from plugin_core.recordings.digest import digest_of
from tests.audio_files import make_noise, write_samples
from tests.plugin_core.recordings.songs import Songs


class StopError(Exception):
    """What a check raises."""


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return write_samples(tmp_path / "song.wav", make_noise(200_000), subtype="PCM_16")


@pytest.mark.parametrize("content", [b"no audio at all", b"ID3", b"RIFF" + bytes(100), b"\xff\xfb\x00\x00" * 999])
def test_what_cannot_be_told_is_its_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    assert digest_of(path) == raw1(hashlib.sha256(content).hexdigest())


def test_a_missing_or_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    for name, words in (("gone.wav", "does not exist"), ("empty.wav", "is empty")):
        with pytest.raises(SourceError, match=words):
            digest_of(tmp_path / name)


def test_a_file_that_grows_while_it_is_read_has_no_digest(wav: Path) -> None:
    def grow() -> None:
        with wav.open("ab") as opened:
            opened.write(b"more")

    with pytest.raises(SourceError, match="is being written"):
        digest_of(wav, check=grow)


def test_a_number_that_is_none_has_no_digest_of_samples(tmp_path: Path) -> None:
    samples = make_noise(1000).astype(np.float32)
    samples[500, 0] = np.nan
    assert digest_of(write_samples(tmp_path / "song.wav", samples, subtype="FLOAT")).startswith("raw1:")


def test_damaged_in_the_middle_it_has_no_digest_of_samples(tmp_path: Path) -> None:
    song = write_samples(tmp_path / "song.flac", make_noise(200_000), subtype="PCM_16")
    data = bytearray(song.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 1000] = bytes(1000)
    song.write_bytes(data)
    assert digest_of(song).startswith("raw1:")


@pytest.mark.parametrize("kind", ["wav", "mp3", "ogg", "m4a"])
@pytest.mark.usefixtures("ffmpeg")
def test_a_check_that_raises_ends_it(songs: Songs, kind: str) -> None:
    def stop() -> None:
        raise StopError

    with pytest.raises(StopError):
        digest_of(songs.get(kind), check=stop)


def _without(*programs: str) -> Callable[[str], str | None]:
    return lambda program: None if program in programs else shutil.which(program)


@pytest.mark.parametrize("kind", ["ima.wav", "m4a"])
@pytest.mark.usefixtures("ffmpeg")
def test_lossy_sound_is_never_told_by_its_samples(songs: Songs, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def refuse(*_arguments: object, **_more: object) -> str:
        raise AssertionError("decoded")

    monkeypatch.setattr(module, "pcm1_of", refuse)
    assert digest_of(songs.get(kind)).startswith("pkt1:")
    assert digest_of(songs.get(kind), which=_without("ffmpeg", "ffprobe")).startswith("raw1:")


def test_shape_is_in_the_digest_of_samples(wav: Path) -> None:
    assert shape_of(digest_of(wav)) == (44100, 200_000)
    assert shape_of(raw1("a" * 64)) is None
