"""What cannot be written is refused before anything is spent, and what can is written: the check is the writer."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mutagen.wave import WAVE

from plugin_core.errors import PlacementError, SourceError, StembridgeError, TransientError
from plugin_core.tags.exchange import ReplaceOptions
from plugin_core.tags.reader import read_fields
from plugin_core.tags.tagger import Writing, check_taggable, restore_exactly
from tests.plugin_core.tags.crafted import (
    HEAD,
    UNKNOWN,
    make_odd_wav,
    make_wav,
    with_data,
    with_junk_behind_padding,
    with_riff,
)
from tests.plugin_core.tags.tagged_files import SOURCES, audio_digest, make_audio, make_source, names, need
from tests.plugin_core.tags.test_tagger import label

Make = Callable[[Path], bytes]
COPED_WITH: dict[str, Make] = {
    "unknown-sizes": lambda folder: with_riff(with_data(make_wav(folder), UNKNOWN), 0xFFFFFFFF),
    "unknown-samples": lambda folder: with_data(make_wav(folder), UNKNOWN),
    "unknown-whole": lambda folder: with_riff(make_wav(folder), 0xFFFFFFFF),
    "no-whole": lambda folder: with_riff(make_wav(folder), 0),
    "whole-too-large": lambda folder: with_riff(make_wav(folder), 10_000_000),
    "whole-too-small": lambda folder: with_riff(make_wav(folder), 2000),
    "odd-without-pad": make_odd_wav,
    "odd-of-unknown-size": lambda folder: with_riff(with_data(make_odd_wav(folder), UNKNOWN), 0xFFFFFFFF),
    "junk-behind": lambda folder: make_wav(folder) + b"junk of some program",
}
REFUSED: dict[str, tuple[Make, str]] = {
    "no-sizes": (lambda folder: with_riff(with_data(make_wav(folder), bytes(4)), 0), "does not say how long"),
    "cut": (lambda folder: make_wav(folder)[:-1000], "ends in the middle of its audio"),
    "cut-odd": (lambda folder: make_wav(folder)[:-1001], "ends in the middle of its audio"),
    "odd-chunk-before": (
        lambda folder: with_riff(make_wav(folder)[:36] + b"xtra\5\0\0\0abcde" + make_wav(folder)[36:]),
        "odd-chunk-before.wav",
    ),
    "rf64": (lambda folder: b"RF64" + make_wav(folder)[4:], "holds no tags"),
}


@pytest.mark.parametrize("case", COPED_WITH)
def test_wav_of_a_writer_that_could_not_go_back_is_tagged(tmp_path: Path, case: str) -> None:
    before = COPED_WITH[case](tmp_path)
    path = tmp_path / f"{case}.wav"
    path.write_bytes(before)
    samples = before[HEAD : HEAD + (1001 if "odd" in case else 22050 * 4)]
    check_taggable(path, ReplaceOptions())
    assert path.read_bytes() == before
    written = label(path)
    data = path.read_bytes()
    assert data[HEAD : HEAD + len(samples)] == samples
    assert struct.unpack_from("<I", data, HEAD - 4)[0] == len(samples)
    assert WAVE(path).tags is not None
    assert read_fields(path)["mood"] == ("Calm",)
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


@pytest.mark.parametrize("case", REFUSED)
def test_wav_that_cannot_be_written_is_refused_by_the_check(tmp_path: Path, case: str) -> None:
    make, expected = REFUSED[case]
    path = tmp_path / f"{case}.wav"
    path.write_bytes(make(tmp_path))
    before = path.read_bytes()
    for work in (lambda: check_taggable(path, ReplaceOptions()), lambda: label(path)):
        with pytest.raises(SourceError, match=expected):
            work()
    assert path.read_bytes() == before


def test_wav_that_ffmpeg_wrote_into_a_pipe_is_tagged(tmp_path: Path) -> None:
    need("ffmpeg")
    source = make_audio(tmp_path / "plain.wav")
    piped = subprocess.run(["ffmpeg", "-v", "error", "-i", source, "-f", "wav", "-"], check=True, capture_output=True)
    path = tmp_path / "piped.wav"
    path.write_bytes(piped.stdout)
    assert UNKNOWN in piped.stdout[:100]
    digest = audio_digest(path)
    check_taggable(path, ReplaceOptions())
    label(path)
    assert audio_digest(path) == digest == audio_digest(source)


def test_junk_behind_the_padding_of_id3_stays(tmp_path: Path) -> None:
    path = make_source(tmp_path, "mp3-v23")
    before = with_junk_behind_padding(path.read_bytes())
    path.write_bytes(before)
    digest = audio_digest(path)
    check_taggable(path, ReplaceOptions())
    written = label(path)
    assert b"JUNK" in path.read_bytes()
    assert path.stat().st_size == len(before)
    assert audio_digest(path) == digest
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


@pytest.mark.parametrize("cut", [0.03, 0.5, 0.97], ids=str)
@pytest.mark.parametrize("kind", SOURCES)
def test_check_and_writer_agree_on_a_song_that_is_cut(tmp_path: Path, kind: str, cut: float) -> None:
    path = make_source(tmp_path, kind)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    assert outcome(lambda: check_taggable(path, ReplaceOptions())) == outcome(lambda: label(path))


def outcome(work: Callable[[], object]) -> str:
    """Return what an error says, or nothing."""
    try:
        work()
    except StembridgeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", SOURCES)
def test_check_of_a_sound_song_changes_nothing_and_passes(tmp_path: Path, kind: str) -> None:
    path = make_source(tmp_path, kind)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    check_taggable(path, ReplaceOptions())
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert names(tmp_path) == [path.name]


def test_check_reads_no_more_than_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_source(tmp_path, "wav")

    def refuse(*_arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(hashlib, "sha256", refuse)
    check_taggable(path, ReplaceOptions())


@pytest.mark.parametrize("name", ["song.mkv", "song.w64"])
def test_container_without_tags_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"riff" + bytes(100) if name.endswith("w64") else b"\x1a\x45\xdf\xa3" + bytes(100))
    with pytest.raises(SourceError, match="holds no tags"):
        check_taggable(path, ReplaceOptions())


@pytest.mark.parametrize("suffix", ["aac", "ac3", "caf"])
def test_container_that_is_known_but_has_no_place_is_refused_as_such(tmp_path: Path, suffix: str) -> None:
    need("ffmpeg")
    path, plain = tmp_path / f"song.{suffix}", make_audio(tmp_path / "plain.wav")
    subprocess.run(["ffmpeg", "-v", "error", "-i", plain, path], check=True)
    with pytest.raises(SourceError, match="holds no tags stembridge can write"):
        check_taggable(path, ReplaceOptions())


@pytest.mark.parametrize("check", [True, False], ids=["check", "write"])
def test_read_only_song_is_left_alone(tmp_path: Path, check: bool) -> None:
    path = make_source(tmp_path, "flac")
    path.chmod(0o444)
    with pytest.raises(PlacementError, match="read-only"):
        check_taggable(path, ReplaceOptions()) if check else label(path)


def test_folder_that_takes_no_copy_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_source(tmp_path, "flac")
    access = os.access
    # Root may write anywhere; the answer of a read-only disk is the same.
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != tmp_path and access(place, mode))
    with pytest.raises(PlacementError, match="nothing can be written in"):
        check_taggable(path, ReplaceOptions())


def test_disk_without_room_for_the_copy_is_told_and_passes_by(tmp_path: Path) -> None:
    path = make_source(tmp_path, "flac")
    with pytest.raises(TransientError, match=r"no room for a copy of .*source\.flac"):
        check_taggable(path, ReplaceOptions(), free=lambda _folder: path.stat().st_size)
