"""What files say of their own length: whole ones are whole, cut ones are not, and what does not say counts as whole."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from stembridge_hot_folder.files import FileIdentity
from stembridge_hot_folder.settler import Patience, Settler, is_whole

from plugin_core.audio import flac
from tests.audio_files import encode, make_noise, truncate, write_samples, write_song

SHARES = (0.001, 0.05, 0.3, 0.5, 0.75, 0.9, 0.99)


def make(tmp_path: Path, kind: str) -> Path:
    if kind == "m4a":
        return encode(write_song(tmp_path / "s.wav", 2.0), tmp_path / "Song.m4a")
    if kind == "flac by ffmpeg":
        return encode(write_song(tmp_path / "s.wav", 2.0), tmp_path / "Song.flac")
    return write_song(tmp_path / f"Song.{kind}", 2.0)


@pytest.mark.parametrize("kind", ["wav", "aiff", "flac", "flac by ffmpeg", "m4a"])
def test_whole_is_whole_and_cut_is_not(tmp_path: Path, kind: str) -> None:
    song = make(tmp_path, kind)
    assert is_whole(os.fsencode(song))
    data = song.read_bytes()
    for share in SHARES:
        song.write_bytes(data)
        assert not is_whole(os.fsencode(truncate(song, share))), share


REAL_LENGTHS = (1, 11, 13, 240)
"""Seconds: a FLAC counts 4096 samples a frame, so that numbers take two bytes from 12 s and three from 190 s on."""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("recordings")
    return {
        seconds: write_samples(folder / f"{seconds}.wav", make_noise(seconds * 44100, 1), 44100, "PCM_16")
        for seconds in REAL_LENGTHS
    }


def rewrite(container: str, subtype: str = "PCM_16") -> Callable[[Path, Path], object]:
    def write(source: Path, target: Path) -> None:
        samples, rate = soundfile.read(source, dtype="int16")
        soundfile.write(target, samples, rate, subtype=subtype, format=container)

    return write


def run_flac(*options: str) -> Callable[[Path, Path], object]:
    def write(source: Path, target: Path) -> None:
        if shutil.which("flac") is None:
            pytest.skip("needs the tool flac")
        subprocess.run(["flac", "--silent", *options, f"--output-name={target}", str(source)], check=True)

    return write


def pipe_flac(source: Path, target: Path) -> None:
    """Write to a pipe: the header, written first, says neither how many samples follow nor how long a frame may be."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", f"file:{source}", "-f", "flac", "-"]
    with target.open("wb") as opened:
        subprocess.run(command, check=True, stdout=opened)


WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "wav": rewrite("WAV"),
    "rf64": rewrite("RF64"),
    "aiff": rewrite("AIFF"),
    "flac by libsndfile": rewrite("FLAC"),
    "flac by flac": run_flac(),
    "flac by flac in short frames": run_flac("--lax", "--blocksize=192"),
    "flac by flac in long frames": run_flac("--lax", "--blocksize=32767"),
    "flac by ffmpeg": encode,
    "flac by ffmpeg into a pipe": pipe_flac,
    "m4a": encode,
}


@pytest.mark.parametrize("seconds", REAL_LENGTHS)
@pytest.mark.parametrize("writer", WRITERS)
def test_song_of_real_length_is_whole_and_waits_for_one_settle_time(
    tmp_path: Path, recordings: dict[int, Path], writer: str, seconds: int
) -> None:
    """Every FLAC over about 12 s was taken for a half-written one, and waited 12 times the settle time."""
    song = tmp_path / f"Song.{writer.split()[0]}"
    WRITERS[writer](recordings[seconds], song)
    assert is_whole(os.fsencode(song))
    settler = Settler(Patience(settle=5.0), is_whole)
    identity = FileIdentity(1, 1, song.stat().st_size, 1)
    assert not settler.observe(os.fsencode(song), identity, 0.0)
    assert settler.observe(os.fsencode(song), identity, 5.0)
    for share in (0.999, 0.9, 0.4):
        assert not is_whole(os.fsencode(truncate(song, share))), share


def code_number(number: int) -> bytes:
    """Code a number as UTF-8 codes characters, which Python does up to 21 bits, and FLAC up to 36."""
    if number < 0x80:
        return bytes([number])
    more = next(count for count in range(1, 7) if number < 1 << (5 * count + 6))
    rest = [0x80 | number >> 6 * place & 0x3F for place in reversed(range(more))]
    return bytes([0xFF << (7 - more) & 0xFF | number >> 6 * more, *rest])


def silent_frame(number: int, block: int, *, is_variable: bool) -> bytes:
    """Return a frame of 16-bit silence of one channel at 44.1 kHz; ``number`` is its own or its first sample's."""
    head = bytes([0xFF, 0xF8 | is_variable, 0x79, 0x08]) + code_number(number) + (block - 1).to_bytes(2, "big")
    frame = head + bytes([flac._crc8(head)]) + bytes(3)
    return frame + flac.crc16(frame).to_bytes(2, "big")


def flac_of(frames: bytes, samples: int, block: int = 4096) -> bytes:
    info = bytearray(stream_info(samples, 0))
    info[0:2] = (16).to_bytes(2, "big")
    info[2:4] = block.to_bytes(2, "big")
    info[10:14] = (44100 << 12 | 15 << 4).to_bytes(4, "big")
    return b"fLaC" + bytes([0x80, 0, 0, 34]) + info + frames


@pytest.mark.parametrize("length", range(1, 8))
@pytest.mark.parametrize("is_variable", [False, True])
def test_flac_with_frame_numbers_of_one_to_seven_bytes_is_whole(tmp_path: Path, length: int, is_variable: bool) -> None:
    most = 7 if length == 1 else 5 * length + 1
    song = tmp_path / "Song.flac"
    for number in {(1 << (most - 1)) + 1, (1 << most) - 17}:
        assert len(code_number(number)) == length
        if number < 1 << 16:
            assert code_number(number) == chr(number).encode()
        samples = number + 16 if is_variable else number * 16 + 16
        song.write_bytes(flac_of(silent_frame(number, 16, is_variable=is_variable), min(samples, (1 << 36) - 1), 16))
        assert is_whole(os.fsencode(song))
        song.write_bytes(song.read_bytes()[:-1])
        assert not is_whole(os.fsencode(song))


def test_flac_whose_last_frame_stops_short_of_the_samples_it_says_is_not_whole(tmp_path: Path) -> None:
    song = tmp_path / "Song.flac"
    for number in (5, 200, 3000, 100_000):
        song.write_bytes(flac_of(silent_frame(number, 4096, is_variable=False), (number + 1) * 4096 + 1))
        assert not is_whole(os.fsencode(song)), number


@pytest.mark.parametrize("seconds", REAL_LENGTHS)
def test_flac_with_frames_of_several_lengths_is_whole(tmp_path: Path, seconds: int) -> None:
    """None of the usual encoders writes such a stream; decoders read it, as they do ours."""
    song = tmp_path / "Song.flac"
    frames: list[bytes] = []
    place = 0
    while place < seconds * 44100:
        block = (4096, 1152, 576, 2304)[len(frames) % 4]
        frames.append(silent_frame(place, block, is_variable=True))
        place += block
    song.write_bytes(flac_of(b"".join(frames), place))
    assert soundfile.info(song).frames == len(soundfile.read(song)[0]) == place
    assert is_whole(os.fsencode(song))
    song.write_bytes(flac_of(b"".join(frames[:-1]), place))
    assert not is_whole(os.fsencode(song))


def test_preallocated_flac_is_not_whole(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.flac", 2.0)
    size = song.stat().st_size
    truncate(song, 0.7)
    os.truncate(song, size)
    assert not is_whole(os.fsencode(song))


def test_flac_with_an_old_tag_at_its_end_is_whole(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.flac", 2.0)
    song.write_bytes(song.read_bytes() + b"TAG" + bytes(125))
    assert is_whole(os.fsencode(song))


@pytest.mark.parametrize("kind", ["ogg", "mp3"])
def test_kinds_that_do_not_say_count_as_whole(tmp_path: Path, kind: str) -> None:
    assert is_whole(os.fsencode(truncate(write_song(tmp_path / f"Song.{kind}", 2.0), 0.5)))


def test_missing_file_is_somebody_elses_to_tell(tmp_path: Path) -> None:
    assert is_whole(os.fsencode(tmp_path / "none.wav"))


def stream_info(samples: int = 0, longest: int = 0xFFFFFF) -> bytes:
    block = bytearray(34)
    block[2:4] = (4096).to_bytes(2, "big")
    block[7:10] = longest.to_bytes(3, "big")
    block[13:18] = samples.to_bytes(5, "big")
    return bytes(block)


FRAME = b"\xff\xf8\xc9\x10\x00\x00"


@pytest.mark.parametrize("rest", ["blocks", "syncs", "frames"])
def test_flac_made_up_to_keep_its_reader_busy_is_soon_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest: str
) -> None:
    """Each of these once took minutes to hours in the loop of the watch."""
    frame = FRAME[:5] + bytes([flac._crc8(FRAME[:5])])
    fillings = {
        "blocks": b"fLaC" + bytes([0, 0, 0, 34]) + stream_info() + bytes(4 * 1_000_000),
        "syncs": b"fLaC" + bytes([0x80, 0, 0, 34]) + stream_info() + b"\xff\xf8" * 2_000_000,
        "frames": b"fLaC" + bytes([0x80, 0, 0, 34]) + stream_info() + frame * 1_000_000,
    }
    song = tmp_path / "Song.flac"
    song.write_bytes(fillings[rest])
    assert len(fillings[rest]) > flac.LONGEST_FRAME
    checked: list[int] = []
    headers: list[bytes] = []
    read_frame = flac.read_frame

    def count_headers(header: bytes, stream_block: int) -> flac.Frame | None:
        headers.append(header)
        return read_frame(header, stream_block)

    def count_checked(data: bytes) -> int:
        checked.append(len(data))
        return 1

    monkeypatch.setattr(flac, "read_frame", count_headers)
    monkeypatch.setattr(flac, "crc16", count_checked)
    assert not is_whole(os.fsencode(song))
    assert sum(checked) <= flac._MOST_CHECKED
    assert len(headers) <= flac._MOST_TRIES
    assert bool(headers) == (rest != "blocks")
    assert bool(checked) == (rest == "frames")
