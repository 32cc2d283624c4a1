from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from plugin_core.audio.formats import FORMATS, resolve_format
from plugin_core.audio.probe import probe
from plugin_core.audio.reader import open_reader
from plugin_core.audio.samples import Samples, to_integers
from plugin_core.audio.writer import open_writer
from plugin_core.errors import PlacementError, TransientError, UsageError
from tests.audio_files import make_noise, make_song
from tests.plugin_core.audio.test_probe import needs_ffmpeg, no_program
from tests.plugin_core.audio.test_reader import make_integers, read_all

LOSSLESS = [name for name, one in FORMATS.items() if one.is_lossless]
INTEGER = [name for name, one in FORMATS.items() if one.bits]


def write(path: Path, block: Samples, name: str, sample_rate: int = 44100, step: int = 7001) -> Path:
    channels = block.shape[1]
    with open_writer(path, sample_rate=sample_rate, channels=channels, format=FORMATS[name]) as writer:
        for start in range(0, len(block), step):
            writer.write(block[start : start + step])
        assert writer.frames == len(block)
    return path


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
@pytest.mark.parametrize("name", INTEGER)
def test_integers_are_kept(tmp_path: Path, name: str, channels: int) -> None:
    bits = FORMATS[name].bits or 0
    integers = make_integers(bits, channels=channels)

    path = write(tmp_path / f"a{FORMATS[name].suffix}", integers, name)

    info = probe(path)
    assert (info.frames, info.channels, info.encoding) == (len(integers), channels, f"pcm_{bits}")
    assert np.array_equal(to_integers(read_all(path), bits), integers)


@pytest.mark.parametrize("name", ["flac16", "wav24"])
def test_file_of_a_successor_stays(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a"
    with pytest.raises(KeyboardInterrupt), open_writer(path, sample_rate=8000, channels=1, format=FORMATS[name]) as one:
        one.write(make_noise(100, 1))
        path.unlink()
        path.write_text("successor")
        raise KeyboardInterrupt
    assert path.read_text() == "successor"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", INTEGER)
def test_floats_of_that_depth_are_kept(tmp_path: Path, name: str, dtype: str) -> None:
    bits = FORMATS[name].bits or 0
    integers = make_integers(bits)
    floats = integers.astype(dtype) / (1 << (bits - 1))

    path = write(tmp_path / "a", floats, name)

    assert np.array_equal(to_integers(read_all(path), bits), integers)


@pytest.mark.parametrize("name", ["wav32f", "w64_32f"])
def test_float_formats_keep_everything(tmp_path: Path, name: str) -> None:
    samples = make_noise(20_000, peak=4.0).astype(np.float32)

    path = write(tmp_path / "a", samples, name)

    assert probe(path).encoding == "float"
    assert np.array_equal(read_all(path), samples)


@pytest.mark.parametrize("name", INTEGER)
def test_overs_are_clipped_and_never_wrap(tmp_path: Path, name: str) -> None:
    bits = FORMATS[name].bits or 0
    limit = 1 << (bits - 1)
    floats = np.array([[1.0, -1.0], [1.7, -1.7]] * 500)
    integers = np.array([[limit, -limit - 1], [limit + 5, -limit - 5]] * 500, dtype=np.int32)

    for block in (floats, integers, integers.clip(-limit, limit)):
        read = to_integers(read_all(write(tmp_path / "a", block, name)), bits)
        assert np.unique(read, axis=0).tolist() == [[limit - 1, -limit]]


@pytest.mark.parametrize("name", FORMATS)
def test_clipped_samples_are_counted_in_every_format(tmp_path: Path, name: str) -> None:
    chosen = FORMATS[name]
    quiet = np.zeros((5000, 2))
    loud = quiet + np.array([1.7, -1.7]) * (np.arange(5000) % 100 == 0)[:, None]
    with open_writer(tmp_path / f"a{chosen.suffix}", sample_rate=44100, channels=2, format=chosen) as writer:
        writer.write(np.ones((10, 2)))
        writer.write(loud)
        writer.write(quiet)
    assert writer.clipped == (0 if chosen.is_float else 100)


@pytest.mark.parametrize("sample_rate", [8000, 11025, 44100, 65535, 88201, 96000, 176410, 192000])
@pytest.mark.parametrize("name", LOSSLESS)
def test_sample_rate_is_kept(tmp_path: Path, name: str, sample_rate: int) -> None:
    if name.startswith("flac") and sample_rate == 88201:
        pytest.skip("resolve_format never asks for it")
    assert probe(write(tmp_path / "a", make_noise(5000), name, sample_rate)).sample_rate == sample_rate


@pytest.mark.parametrize("name", LOSSLESS)
def test_source_and_its_stem_are_equal_through_the_default_format(tmp_path: Path, name: str) -> None:
    source = write(tmp_path / "source", make_song(1.0), name)
    with open_reader(source) as reader:
        chosen = resolve_format("", reader.info)
        with open_writer(tmp_path / "stem", sample_rate=44100, channels=2, format=chosen) as writer:
            while len(block := reader.read(10_000)):
                writer.write(block)

    assert np.array_equal(read_all(source), read_all(tmp_path / "stem"))


@needs_ffmpeg
@pytest.mark.parametrize(("sample_rate", "channels"), [(22050, 1), (44100, 2), (48000, 2)])
@pytest.mark.parametrize("name", ["mp3", "m4a"])
def test_lossy_formats_keep_length_and_place(tmp_path: Path, name: str, channels: int, sample_rate: int) -> None:
    song = make_song(2.0, sample_rate, channels)

    path = write(tmp_path / f"a.{name}", song, name, sample_rate)
    read = read_all(path)

    assert read.shape[1] == channels
    assert probe(path).sample_rate == sample_rate
    assert 0 <= len(read) - len(song) <= 1024
    assert np.sqrt(np.mean((read[: len(song)] - song) ** 2)) < 0.1 * np.sqrt(np.mean(song**2))


@pytest.mark.parametrize("frames", [1000, 65_536, 100_001])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("name", "sample_rate", "kept"),
    [
        ("ogg", 44100, 44100),
        ("ogg", 96000, 96000),
        ("opus", 48000, 48000),
        ("opus", 44100, 48000),
        ("opus", 8000, 8000),
    ],
)
def test_ogg_and_opus_are_read_back_exactly_in_length(
    tmp_path: Path, name: str, sample_rate: int, kept: int, channels: int, frames: int
) -> None:
    song = make_song(frames / sample_rate + 0.1, sample_rate, channels)[:frames]
    path = write(tmp_path / f"a.{name}", song, name, sample_rate)
    info, read = probe(path), read_all(path)
    assert (info.sample_rate, info.channels) == (kept, channels)
    assert info.frames == len(read) == max(1, round(frames * kept / sample_rate))
    if frames == 100_001 and kept == sample_rate:
        assert np.sqrt(np.mean((read - song) ** 2)) < 0.15 * np.sqrt(np.mean(song**2))


@pytest.mark.parametrize("name", ["ogg", "opus"])
def test_ogg_and_opus_stay_where_they_were_and_clip_what_they_cannot_hold(tmp_path: Path, name: str) -> None:
    """The delay of the encoder is taken off again, also where Opus needs another rate; no click moves."""
    clicks = np.zeros((44_100, 2))
    clicks[4410::4410] = 3.0
    with open_writer(tmp_path / "a", sample_rate=44_100, channels=2, format=FORMATS[name]) as writer:
        writer.write(clicks)
    assert writer.clipped == 18
    read, rate = read_all(tmp_path / "a"), probe(tmp_path / "a").sample_rate
    for start in range(4410, 44_100, 4410):
        place = round(start * rate / 44_100)
        near = np.abs(read[place - 500 : place + 500, 0])
        assert abs(int(near.argmax()) - 500) <= 1
        assert near.max() < 1.3


@needs_ffmpeg
def test_mp3_has_its_bit_rate_and_length(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", make_song(2.0), "mp3")

    info = probe(path)

    assert info.frames == 88_200
    assert path.stat().st_size * 8 / 2.0 == pytest.approx(320_000, rel=0.05)
    assert b"Info" in path.read_bytes()[:4096]


@needs_ffmpeg
@pytest.mark.parametrize(("name", "sample_rate"), [("mp3", 96000), ("mp3", 8000), ("m4a", 192000), ("m4a", 88201)])
def test_rates_a_codec_does_not_know_are_resampled(tmp_path: Path, name: str, sample_rate: int) -> None:
    info = probe(write(tmp_path / "a", make_song(1.0, sample_rate), name, sample_rate))

    assert info.duration == pytest.approx(1.0, abs=0.06)


@needs_ffmpeg
def test_surround_goes_into_m4a(tmp_path: Path) -> None:
    assert probe(write(tmp_path / "a.m4a", make_song(1.0, 48000, 6), "m4a", 48000)).channels == 6


@pytest.mark.parametrize("name", ["mp3", "m4a"])
def test_missing_ffmpeg_is_said_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a"

    with (
        pytest.raises(UsageError, match=f"{name} needs ffmpeg.*install ffmpeg.*choose flac"),
        open_writer(path, sample_rate=44100, channels=2, format=FORMATS[name], which=no_program),
    ):
        pass

    assert not path.exists()


@pytest.mark.parametrize(
    "name", [*LOSSLESS, "ogg", "opus", pytest.param("mp3", marks=needs_ffmpeg), pytest.param("m4a", marks=needs_ffmpeg)]
)
@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_partial_file_is_removed_when_anything_is_raised(tmp_path: Path, name: str, kind: type[BaseException]) -> None:
    path = tmp_path / "a"

    with (
        pytest.raises(kind),
        open_writer(path, sample_rate=44100, channels=2, format=FORMATS[name]) as writer,
    ):
        writer.write(make_noise(50_000))
        assert path.exists()
        raise kind

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", [*LOSSLESS, "ogg", "opus", pytest.param("mp3", marks=needs_ffmpeg), pytest.param("m4a", marks=needs_ffmpeg)]
)
def test_no_frames_are_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(PlacementError):
        write(tmp_path / "a", np.zeros((0, 2)), name)

    assert list(tmp_path.iterdir()) == []


def test_what_was_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(1_000_000))

    write(path, make_noise(1000), "wav16")

    assert path.stat().st_size < 5000


@pytest.mark.parametrize("name", ["flac16", pytest.param("mp3", marks=needs_ffmpeg)])
@pytest.mark.parametrize("file", [b"-y", b"a:b%d", b"caf\xe9\xff", b"n" * 255], ids=["dash", "marks", "latin1", "255"])
def test_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: bytes) -> None:
    monkeypatch.chdir(tmp_path)

    path = write(Path(os.fsdecode(file)), make_noise(5000), name)

    assert [os.fsencode(one.name) for one in tmp_path.iterdir()] == [file]
    assert probe(path).frames == 5000


@pytest.mark.parametrize("name", ["flac16", "mp3"])
def test_folder_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(PlacementError, match="cannot be written: No such file"):
        write(tmp_path / "gone" / "a", make_noise(100), name)


def test_folder_and_pipe_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    for name in ("folder", "pipe"):
        with pytest.raises(PlacementError):
            write(tmp_path / name, make_noise(100), "wav16")
        assert (tmp_path / name).exists()


@pytest.mark.parametrize(
    "block", [np.zeros((5, 3)), np.zeros(5), np.zeros((5, 2), dtype=np.int16)], ids=["channels", "flat", "int16"]
)
def test_wrong_blocks_are_a_programming_error(tmp_path: Path, block: Samples) -> None:
    with (
        pytest.raises((TypeError, ValueError)),
        open_writer(tmp_path / "a", sample_rate=44100, channels=2, format=FORMATS["flac16"]) as writer,
    ):
        writer.write(block)


def test_float_formats_take_no_integers(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="wav32f takes no int32"):
        write(tmp_path / "a", make_integers(24), "wav32f")


@contextmanager
def limit_file_size(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("frames", [100, 3000, 100_000], ids=["header", "at close", "middle"])
def test_failed_write_is_an_error_and_leaves_nothing(tmp_path: Path, name: str, frames: int) -> None:
    size = 10 if frames == 100 else 4096

    with limit_file_size(size), pytest.raises(PlacementError, match="larger than"):
        write(tmp_path / "a", make_noise(frames), name)

    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or not mount or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    "name", [*LOSSLESS, "ogg", "opus", pytest.param("mp3", marks=needs_ffmpeg), pytest.param("m4a", marks=needs_ffmpeg)]
)
@pytest.mark.parametrize("seconds", [1.6, 30.0], ids=["early", "late"])
def test_full_disk_passes_by_itself(small_disk: Path, name: str, seconds: float) -> None:
    # Beside it lies so much that the end of the short lossy file does not fit.
    (small_disk / "neighbour").write_bytes(bytes({"m4a": 210_000, "opus": 215_000}.get(name, 200_000)))

    with pytest.raises(TransientError, match="no space left"):
        write(small_disk / "a", make_noise(round(seconds * 44100)), name)

    assert [one.name for one in small_disk.iterdir()] == ["neighbour"]


@pytest.mark.parametrize("frames", range(12_000, 17_000, 500))
def test_disk_full_just_at_the_end(small_disk: Path, frames: int) -> None:
    (small_disk / "neighbour").write_bytes(bytes(200_000))
    block = make_noise(frames)
    room = 64 * 1024 - 4096

    try:
        path = write(small_disk / "a", block, "flac16")
    except TransientError:
        assert [one.name for one in small_disk.iterdir()] == ["neighbour"]
    else:
        assert path.stat().st_size <= room + 8192
        assert np.array_equal(to_integers(read_all(path), 16), to_integers(block, 16))


def test_failed_fsync_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("plugin_core.audio.writer.os.fsync", fail)

    with pytest.raises(TransientError, match="no space left"):
        write(tmp_path / "a", make_noise(1000), "flac16")

    assert list(tmp_path.iterdir()) == []
