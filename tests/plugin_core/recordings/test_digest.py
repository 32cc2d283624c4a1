"""Choosing the kind of digest, and giving up when asked."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from plugin_core.audio.probe import identify
from plugin_core.audio.source_file import Identity, Memory
from plugin_core.errors import SourceError
from plugin_core.recordings import content as contents
from plugin_core.recordings import digest as module
from plugin_core.recordings.content import raw1, shape_of
from plugin_core.recordings.digest import Pcm1, digest_of, read_song
from tests.audio_files import encode, make_noise, write_samples
from tests.plugin_core.recordings.songs import Songs, run


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


@pytest.mark.parametrize("last", [0.5, 1e-8], ids=["an integer", "none"])
def test_samples_are_hashed_to_the_last_one_of_the_last_block(tmp_path: Path, last: float) -> None:
    samples = (np.rint(make_noise(200_001) * 2**15) / 2**15).astype(np.float32)
    samples[-1, 1] = last
    told = Pcm1(44100, 2, "i" if last == 0.5 else "f")
    told.feed(samples)
    assert digest_of(write_samples(tmp_path / "song.wav", samples, subtype="FLOAT")) == str(told)


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


@pytest.mark.usefixtures("ffmpeg")
def test_coded_sound_whose_header_gives_no_size_is_told_by_its_packets(songs: Songs, tmp_path: Path) -> None:
    whole, path = songs.get("ima.wav"), songs.copy("ima.wav", tmp_path)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    assert identify(path).layouts
    assert digest_of(path) == digest_of(whole)
    assert digest_of(path).startswith("pkt1:")


@pytest.mark.usefixtures("ffmpeg")
def test_mp3s_joined_in_a_wav_are_told_by_their_packets(songs: Songs, tmp_path: Path) -> None:
    one, path = tmp_path / "one.wav", tmp_path / "two.wav"
    run("ffmpeg", "-i", "{mp3}", "-c", "copy", "{one}", mp3=songs.get("mp3"), one=one)
    head, sound = one.read_bytes().partition(b"data")[0] + b"data", songs.get("mp3").read_bytes() * 2
    path.write_bytes(head + len(sound).to_bytes(4, "little") + sound)
    assert len(identify(path).layouts) == 2
    assert digest_of(path).startswith("pkt1:")
    assert digest_of(path) != digest_of(one)


@pytest.mark.usefixtures("ffmpeg")
def test_coded_recordings_joined_in_one_file_count_with_all_their_sound(songs: Songs, tmp_path: Path) -> None:
    first, path = songs.get("ima.wav"), tmp_path / "joined.wav"
    path.write_bytes(first.read_bytes() * 2)
    assert len(identify(path).layouts) == 2
    assert digest_of(path).startswith("pkt1:")
    assert digest_of(path) != digest_of(first)


def test_shape_is_in_the_digest_of_samples(wav: Path) -> None:
    assert shape_of(digest_of(wav)) == (44100, 200_000)
    assert shape_of(raw1("a" * 64)) is None


def test_a_value_off_the_grid_counts_also_as_the_last_of_a_file(tmp_path: Path) -> None:
    samples = np.rint(make_noise(200_000) * 2**15) / 2**15
    assert digest_of(write_samples(tmp_path / "grid.wav", samples, subtype="FLOAT")).startswith("pcm1:i:")
    samples[-1, 1] = 2.0**-33
    assert digest_of(write_samples(tmp_path / "off.wav", samples, subtype="FLOAT")).startswith("pcm1:f:44100:2:200000:")


def test_what_was_decoded_for_its_digest_is_not_decoded_again(wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Identity, "is_settled", lambda *_: True)
    sha256 = contents.hash_content(wav, lambda: None)
    told = digest_of(wav)
    monkeypatch.setattr(module, "pcm1_of", None)

    assert digest_of(wav) == told
    assert contents.hash_content(wav, lambda: None) == sha256


LONG = {
    "wav": (),
    "aiff": (),
    "flac": (),
    "mp3": ("-b:a", "320k"),
    "mp2": ("-b:a", "384k"),
    "ogg": ("-c:a", "libvorbis", "-q:a", "9"),
    "opus": ("-b:a", "400k"),
    "m4a": ("-b:a", "320k"),
    "aac": ("-b:a", "320k"),
    "wv": (),
    "wma": ("-b:a", "320k"),
    "mka": ("-c:a", "libmp3lame", "-b:a", "320k"),
    "webm": ("-c:a", "libopus", "-b:a", "400k"),
    "flv": ("-c:a", "aac", "-b:a", "320k"),
    "avi": ("-c:a", "ac3", "-b:a", "640k"),
    "ts": ("-c:a", "aac", "-b:a", "320k"),
    "m2ts": ("-c:a", "ac3", "-b:a", "640k"),
    "mpg": ("-c:a", "mp2", "-b:a", "384k"),
}
PROBED = {"flv", "ts", "m2ts", "mpg"}
"""Of a file as short as this ffprobe reads the whole, and of broadcasts the length is measured by one more pipe."""
HANDED_ON = {"wma", "mka", "webm", "avi"} | PROBED
WALKED = {"mp3", "mp2", "ogg", "opus", "m4a", "aac"} | HANDED_ON
SLACK = 200_000
"""Bytes of headers, ends and indexes."""


@pytest.fixture(scope="module")
def long_song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_samples(tmp_path_factory.mktemp("long") / "long.wav", make_noise(12 * 44100), subtype="PCM_16")


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux to count what is read")
@pytest.mark.parametrize("kind", ["no size", "adpcm"])
@pytest.mark.usefixtures("ffmpeg")
def test_a_wav_whose_header_does_not_do_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_song: Path, kind: str
) -> None:
    path = encode(long_song, tmp_path / "song.wav", "-c:a", "adpcm_ms" if kind == "adpcm" else "copy")
    if kind == "no size":
        data = bytearray(path.read_bytes())
        at = data.index(b"data") + 4
        data[4:8] = data[at : at + 4] = bytes(4)
        path.write_bytes(data)
    monkeypatch.setattr(Identity, "is_settled", lambda *_: True)
    began = count_read()

    _, content = read_song(path)

    assert path.stat().st_size <= count_read() - began <= path.stat().st_size + SLACK
    assert content == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux to count what is read")
@pytest.mark.parametrize("kind", LONG)
@pytest.mark.usefixtures("ffmpeg")
def test_a_song_is_read_once_for_its_shape_its_bytes_and_its_packets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_song: Path, kind: str
) -> None:
    path = encode(long_song, tmp_path / f"song.{kind}", *LONG[kind])
    size, asked = path.stat().st_size, tmp_path / "asked.txt"
    assert size > 2 * SLACK
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_text(f'#!/bin/sh\necho "$@" >> {asked}\nexec {shutil.which("ffmpeg")} "$@"\n')
    ffmpeg.chmod(0o755)
    monkeypatch.setattr(Identity, "is_settled", lambda *_: True)

    began = count_read()
    info, content = read_song(path, which=lambda name: str(ffmpeg) if name == "ffmpeg" else shutil.which(name))
    read = count_read() - began
    # Programs read themselves; what is handed to one through a pipe counts once more, and so do packets that come back.
    began = count_read()
    for program in [["ffprobe"]] * (info.decoder == "ffmpeg") + [[ffmpeg]] * asked.exists():
        subprocess.run([*program, "-version"], capture_output=True, check=True)
    read -= count_read() - began + (size if asked.exists() else 0)

    assert size <= read
    assert kind in PROBED or read <= size * (2 if kind in HANDED_ON else 1) + SLACK
    assert asked.exists() == (kind in HANDED_ON)
    assert not asked.exists() or f"-i file:{path}" not in asked.read_text()
    assert content == hashlib.sha256(path.read_bytes()).hexdigest()
    if kind in WALKED:
        began = count_read()
        told = digest_of(path)
        assert count_read() - began < SLACK
        monkeypatch.setattr(contents, "_heard", Memory())
        assert told == digest_of(path, identify(path)) != ""
        assert told.startswith("pkt1:")


@pytest.mark.parametrize("suffix", ["mka", "avi"])
@pytest.mark.usefixtures("ffmpeg")
def test_exact_sound_that_ffmpeg_is_handed_is_told_by_its_samples(
    wav: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(Identity, "is_settled", lambda *_: True)
    path = encode(wav, wav.with_suffix(f".{suffix}"), "-c:a", "pcm_s16le")
    read_song(path)
    assert digest_of(path) == digest_of(wav)


def count_read() -> int:
    """Return the bytes this process, and those that it waited for, have read from anything."""
    return int(Path("/proc/self/io").read_text().split()[1])
