from __future__ import annotations

import os
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_core.audio.ffmpeg import Which
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.probe import probe
from plugin_core.audio.reader import Dtype, Reader, open_reader, was_read_whole
from plugin_core.audio.samples import Samples, to_integers
from plugin_core.errors import SourceError, TransientError
from tests.audio_files import encode, make_noise, make_song, read_samples, truncate, write_samples, write_song
from tests.plugin_core.audio.test_probe import forget_flac_length, needs_ffmpeg, no_program


def read_all(path: Path, frames: int = 4097, dtype: Dtype = "float32") -> Samples:
    with open_reader(path) as reader:
        return drain(reader, frames, dtype)


def drain(reader: Reader, frames: int = 4097, dtype: Dtype = "float32") -> Samples:
    blocks = []
    while len(block := reader.read(frames, dtype)):
        assert block.dtype == dtype
        assert block.shape[1] == reader.info.channels
        blocks.append(block)
    assert len(reader.read(frames, dtype)) == 0
    return np.concatenate(blocks)


def make_integers(
    bits: int, frames: int = 20_000, channels: int = 2
) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    limit = 1 << (bits - 1)
    drawn = np.random.default_rng(3).integers(-limit, limit, (frames, channels))
    drawn[:2] = [-limit] * channels, [limit - 1] * channels
    return drawn.astype(np.int32)


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "GSM610"), ("a.wav", "G721_32"), ("a.au", "G721_32"), ("a.wav", "NMS_ADPCM_16")]
)
def test_codecs_that_cannot_tell_where_they_are_are_read_whole(tmp_path: Path, name: str, subtype: str) -> None:
    path = tmp_path / name
    with soundfile.SoundFile(path, "w", 8000, 1, subtype=subtype) as opened:
        opened.write(np.sin(np.arange(16_000) / 20) * 0.3)
    samples = read_all(path)
    assert 16_000 <= len(samples) < 16_200
    assert 0.2 < np.abs(samples).max() < 0.4


@pytest.mark.parametrize(
    ("name", "subtype", "bits"),
    [
        ("a.wav", "PCM_U8", 8),
        ("a.wav", "PCM_16", 16),
        ("a.wav", "PCM_24", 24),
        ("a.wav", "PCM_32", 32),
        ("a.flac", "PCM_S8", 8),
        ("a.flac", "PCM_16", 16),
        ("a.flac", "PCM_24", 24),
        ("a.aif", "PCM_24", 24),
        ("a.w64", "PCM_24", 24),
        ("a.caf", "ALAC_16", 16),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_integers_are_read_exactly(tmp_path: Path, name: str, subtype: str, bits: int, channels: int) -> None:
    integers = make_integers(bits, channels=channels)
    path = write_samples(tmp_path / name, integers << (32 - bits), subtype=subtype)

    assert np.array_equal(to_integers(read_all(path, dtype="float64"), bits), integers)
    if bits <= 24:
        assert np.array_equal(to_integers(read_all(path, dtype="float32"), bits), integers)


@pytest.mark.parametrize(("subtype", "dtype"), [("FLOAT", "float32"), ("DOUBLE", "float64")])
def test_floats_are_read_exactly_even_beyond_full_scale(tmp_path: Path, subtype: str, dtype: Dtype) -> None:
    samples = make_noise(20_000, peak=3.0).astype(dtype)
    path = write_samples(tmp_path / "a.wav", samples, subtype=subtype)

    assert np.array_equal(read_all(path, dtype=dtype), samples)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options", "subtype", "bits"),
    [
        ("a.m4a", ("-c:a", "alac"), "PCM_16", 16),
        ("a.m4a", ("-c:a", "alac", "-sample_fmt", "s32p"), "PCM_24", 24),
        ("a.wv", ("-c:a", "wavpack"), "PCM_32", 32),
        ("a.mov", ("-c:a", "pcm_s24le"), "PCM_24", 24),
    ],
    ids=["alac16", "alac24", "wavpack32", "mov24"],
)
def test_ffmpeg_reads_lossless_formats_exactly(
    tmp_path: Path, name: str, options: tuple[str, ...], subtype: str, bits: int
) -> None:
    integers = make_integers(bits)
    source = write_samples(tmp_path / "s.wav", integers << (32 - bits), subtype=subtype)

    read = read_all(encode(source, tmp_path / name, *options), dtype="float64")

    assert np.array_equal(to_integers(read, bits), integers)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.m4a", "a.mp3", "a.ogg", "a.opus"])
def test_lossy_formats_keep_length_and_place(tmp_path: Path, name: str) -> None:
    song = make_song(2.0, 48000)
    options = ("-c:a", "libvorbis") if name == "a.ogg" else ()
    path = encode(write_samples(tmp_path / "s.wav", song, 48000, "PCM_24"), tmp_path / name, *options)

    read = read_all(path)

    assert 0 <= len(read) - len(song) <= 1024
    assert np.sqrt(np.mean((read[: len(song)] - song) ** 2)) < 0.1 * np.sqrt(np.mean(song**2))


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3", "a.flac", "a.wav"])
def test_block_size_changes_nothing(tmp_path: Path, name: str) -> None:
    path = write_song(tmp_path / name, 1.0)
    whole, _ = read_samples(path)

    for frames in (1000, 44100, 10**6):
        assert np.array_equal(read_all(path, frames), whole.astype(np.float32))


@pytest.mark.parametrize("name", ["a.flac", "a.wav", "a.aiff", "a.ogg", pytest.param("a.m4a", marks=needs_ffmpeg)])
def test_what_is_skipped_is_as_if_it_were_read(tmp_path: Path, name: str) -> None:
    path, plain = tmp_path / name, tmp_path / "plain.wav"
    write_song(plain, 3.0)
    if path.suffix in (".ogg", ".m4a"):
        encode(plain, path)
    elif path != plain:
        write_song(path, 3.0)
    whole = read_all(path)
    with open_reader(path) as reader:
        reader.skip(0)
        for frames in (1, 70_001):
            before = reader.position
            reader.skip(frames)
            assert reader.position == before + frames
            assert np.array_equal(reader.read(100), whole[before + frames : before + frames + 100])
        # Whoever leaps over a part knows nothing of it.
        assert reader.has_leapt == (path.suffix in (".flac", ".wav", ".aiff"))
        reader.skip(10**9)
        assert (reader.position, len(reader.read(1))) == (len(whole), 0)


def test_a_file_that_was_leapt_through_was_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    write_song(path, 1.0)
    os.utime(path, (1, 1))
    with open_reader(path) as reader:
        reader.skip(1000)
        drain(reader)
    assert not was_read_whole(path)


def test_position_counts_frames(tmp_path: Path) -> None:
    with open_reader(write_song(tmp_path / "a.wav", 0.1)) as reader:
        assert reader.position == 0
        reader.read(1000)
        assert reader.position == 1000
        drain(reader)
        assert reader.position == reader.info.frames == 4410


@pytest.mark.parametrize("frames", [20_000, 200_000], ids=["blocks", "whole"])
@pytest.mark.parametrize("name", ["a.flac", "a.mp3"])
def test_truncated_file_never_looks_whole(tmp_path: Path, name: str, frames: int) -> None:
    path = truncate(write_samples(tmp_path / name, make_noise(132_300)), 0.6)

    with pytest.raises(SourceError, match=r"a\.\w+ is damaged at 0:01\.[678].*copy or download it again"):
        read_all(path, frames)


def test_truncated_flac_without_a_length_never_looks_whole(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "a.flac", make_noise(132_300))
    forget_flac_length(path)
    assert len(read_all(path)) == 132_300

    with pytest.raises(SourceError, match="is damaged at 0:01"):
        read_all(truncate(path, 0.6))


def test_damage_in_the_middle_of_a_flac(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "a.flac", make_noise(132_300))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = np.random.default_rng(5).bytes(20_000)
    path.write_bytes(data)

    with pytest.raises(SourceError, match="is damaged at 0:01"):
        read_all(path)


@needs_ffmpeg
@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("codec", ["aac", "alac"])
def test_truncated_m4a_never_looks_whole(tmp_path: Path, codec: str, share: float) -> None:
    source = write_samples(tmp_path / "s.wav", make_noise(132_300))
    path = encode(source, tmp_path / "a.m4a", "-c:a", codec, "-movflags", "+faststart")

    with pytest.raises(SourceError, match=r"a\.m4a is cut short: [15]0% of its audio is missing"):
        read_all(truncate(path, share))


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["aac", "alac"])
@pytest.mark.parametrize("seed", [4, 5])
def test_damage_in_the_middle_of_an_m4a(tmp_path: Path, codec: str, seed: int) -> None:
    path = encode(write_song(tmp_path / "s.wav", 3.0), tmp_path / "a.m4a", "-c:a", codec)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8000] = np.random.default_rng(seed).bytes(8000)
    path.write_bytes(data)

    with pytest.raises(SourceError, match=r"a\.m4a is damaged.*; copy"):
        read_all(path)


@needs_ffmpeg
def test_mp3_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    source = write_song(tmp_path / "s.wav", 3.0)

    assert len(read_all(encode(source, tmp_path / "a.mp3", "-write_xing", "0"))) == pytest.approx(132_300, abs=3000)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_channels_of_an_ogg_have_the_order_of_a_wav(tmp_path: Path, subtype: str) -> None:
    """The second of six is the centre, and the last the deepest."""
    loudness = np.arange(1, 7) / 10
    samples = np.sin(np.arange(48000) * 2 * np.pi * 60 / 48000)[:, None] * loudness
    soundfile.write(tmp_path / "s.ogg", samples, 48000, format="OGG", subtype=subtype)

    read = read_all(tmp_path / "s.ogg")

    assert np.argsort(read.std(axis=0)).tolist() == np.argsort(loudness[[0, 2, 1, 5, 3, 4]]).tolist()


@needs_ffmpeg
def test_channels_of_an_opus_that_stand_for_no_speakers_stay_where_they_are(tmp_path: Path) -> None:
    loudness = np.arange(1, 7) / 10
    samples = np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000)[:, None] * loudness
    source = write_samples(tmp_path / "s.wav", samples, 48000)
    read = read_all(encode(source, tmp_path / "s.opus", "-c:a", "libopus", "-mapping_family", "255"))
    assert np.argsort(read.std(axis=0)).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_nan_and_infinity_are_named_with_their_time(tmp_path: Path, bad: float, subtype: str) -> None:
    samples = make_noise(100_000)
    samples[55_125, 1] = samples[90_000, 0] = bad
    path = write_samples(tmp_path / "a.wav", samples, subtype=subtype)

    with pytest.raises(SourceError, match=r"a\.wav holds .* at 0:01\.2; render it again"):
        read_all(path)


def test_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "a.wav", make_noise(400_000))

    with open_reader(path) as reader:
        reader.read(1000)
        truncate(path, 0.3)
        with pytest.raises(TransientError, match="was changed while it was read"):
            drain(reader)


def test_song_that_is_replaced_between_two_looks_is_to_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a tagger that puts the edited song in its place."""
    path = write_samples(tmp_path / "a.wav", make_noise(400_000))
    other = write_samples(tmp_path / "other.wav", make_noise(300_000))

    def look_then_replace(path: Path, which: Which) -> AudioInfo:
        info = probe(path, which=which)
        if other.exists():
            other.replace(path)
        return info

    monkeypatch.setattr("plugin_core.audio.reader.probe", look_then_replace)
    with pytest.raises(TransientError, match=r"a\.wav was changed while it was read; try again"):
        read_all(path)
    assert len(read_all(path)) == 300_000
    truncate(path, 0.3)
    with pytest.raises(SourceError, match="is cut short"):
        read_all(path)


def test_file_removed_while_it_is_read_is_read_on(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "a.flac", make_noise(400_000))

    with open_reader(path) as reader:
        reader.read(1000)
        path.unlink()
        assert len(drain(reader)) == 399_000


def test_vanished_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"), open_reader(tmp_path / "gone.flac"):
        pass


def test_bad_source_is_refused_before_reading(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "a.wav", make_noise(4410, 24))

    with pytest.raises(SourceError, match="24 channels"), open_reader(path):
        pass


@needs_ffmpeg
def test_without_ffmpeg_the_remedy_is_to_install_it(tmp_path: Path) -> None:
    path = encode(write_song(tmp_path / "s.wav", 0.5), tmp_path / "a.m4a")

    with pytest.raises(SourceError, match=r"needs ffmpeg.*install ffmpeg"), open_reader(path, which=no_program):
        pass


@needs_ffmpeg
@pytest.mark.parametrize(
    "name",
    [b"-i.m4a", b"a:b%d?*[1].m4a", b"caf\xe9\xff.m4a", b"n" * 251 + b".m4a"],
    ids=["dash", "marks", "latin1", "255"],
)
def test_any_name_reaches_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    path = encode(write_song(Path("s.wav"), 0.5), Path("plain.m4a")).rename(os.fsdecode(name))

    assert len(read_all(path)) == pytest.approx(22_050, abs=1024)


@pytest.mark.parametrize(
    "name", [b"-i.flac", b"caf\xe9\xff.flac", b"n" * 250 + b".flac"], ids=["dash", "latin1", "255"]
)
def test_any_name_reaches_libsndfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
    monkeypatch.chdir(tmp_path)

    assert len(read_all(write_song(Path(os.fsdecode(name)), 0.5))) == 22_050


@needs_ffmpeg
@pytest.mark.parametrize("how", ["half-read", "raised"])
def test_ffmpeg_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    path = encode(write_samples(tmp_path / "s.wav", make_noise(2_000_000)), tmp_path / "a.m4a", "-c:a", "alac")
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def remember(*args: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(start(*args, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr("plugin_core.audio.decoder.subprocess.Popen", remember)

    try:
        with open_reader(path) as reader:
            reader.read(1000)
            if how == "raised":
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert how == "raised"

    assert len(started) == 2, "ffprobe and ffmpeg"
    assert all(process.returncode is not None for process in started)


def test_failing_ffmpeg_is_said_in_our_words(tmp_path: Path) -> None:
    if not shutil.which("ffprobe"):
        pytest.skip("ffmpeg is not installed")
    path = encode(write_song(tmp_path / "s.wav", 0.5), tmp_path / "a.m4a")
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho 'it is broken' >&2\nexit 7\n")
    broken.chmod(0o755)

    def which(name: str) -> str | None:
        return str(broken) if name == "ffmpeg" else shutil.which(name)

    with open_reader(path, which=which) as reader, pytest.raises(SourceError, match="ffmpeg is: it decodes nothing"):
        reader.read(1000)


def test_what_ffmpeg_lacks_is_said_though_its_first_error_ends_it(tmp_path: Path) -> None:
    if not shutil.which("ffprobe"):
        pytest.skip("ffmpeg is not installed")
    path = encode(write_song(tmp_path / "s.wav", 0.5), tmp_path / "a.m4a")
    lacking = tmp_path / "ffmpeg"
    lacking.write_text(
        '#!/bin/sh\nfor one in "$@"; do [ "$one" = -xerror ] && exit 1; done\n'
        "echo 'Error while decoding stream #0:0: Not yet implemented in FFmpeg, patches welcome' >&2\n"
    )
    lacking.chmod(0o755)

    def which(name: str) -> str | None:
        return str(lacking) if name == "ffmpeg" else shutil.which(name)

    with open_reader(path, which=which) as reader, pytest.raises(SourceError, match="lacks the decoder for it") as told:
        reader.read(1000)
    assert "install a newer ffmpeg" in told.value.remedy


@pytest.mark.parametrize("name", ["a.flac", pytest.param("a.m4a", marks=needs_ffmpeg)])
def test_memory_does_not_grow_with_the_length(tmp_path: Path, name: str) -> None:
    path = write_samples(tmp_path / "a.flac", make_noise(4_000_000))
    if name == "a.m4a":
        path = encode(path, tmp_path / name, "-c:a", "alac")
    tracemalloc.start()
    try:
        with open_reader(path) as reader:
            while len(reader.read(44_100)):
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4_000_000
