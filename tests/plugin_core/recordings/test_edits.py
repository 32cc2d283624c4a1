"""The same recording in an edited, remuxed or converted file is the same; one that sounds different is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile

from plugin_core.recordings.digest import digest_of
from tests.audio_files import make_noise, read_samples, truncate, write_samples
from tests.plugin_core.recordings.edits import BY_LIBRARY, IN_PLACE, INTO_NEW
from tests.plugin_core.recordings.songs import Songs, hear, run

pytestmark = pytest.mark.usefixtures("ffmpeg")


@pytest.mark.parametrize("name", IN_PLACE)
def test_edited_tags_leave_the_recording(songs: Songs, tmp_path: Path, name: str) -> None:
    kind, command = IN_PLACE[name]
    song = songs.copy(kind, tmp_path)
    run(*command, song=song, cover=songs.cover())
    assert hear(song) == songs.hear(kind)


@pytest.mark.parametrize("name", BY_LIBRARY)
def test_tags_written_by_libraries_leave_the_recording(songs: Songs, tmp_path: Path, name: str) -> None:
    kind, edit = BY_LIBRARY[name]
    song = songs.copy(kind, tmp_path)
    edit(song, songs.cover())
    assert hear(song) == songs.hear(kind)


@pytest.mark.parametrize("name", INTO_NEW)
def test_remuxed_or_losslessly_converted_it_is_the_same_recording(songs: Songs, tmp_path: Path, name: str) -> None:
    kind, new, command = INTO_NEW[name]
    run(*command, song=songs.get(kind), new=tmp_path / new)
    assert hear(tmp_path / new) == songs.hear(kind)


@pytest.mark.parametrize("kind", ["flac", "wv", "aiff", "tta", "alac.m4a"])
def test_lossless_formats_are_one_recording(songs: Songs, kind: str) -> None:
    assert songs.hear(kind) == songs.hear("wav")


@pytest.mark.parametrize(
    ("new", "command"),
    [
        ("new.mp3", ("lame", "--quiet", "-V4", "{song}", "{new}")),
        ("new.ogg", ("oggenc", "-Q", "-o", "{new}", "{song}")),
        ("new.opus", ("opusenc", "--quiet", "{song}", "{new}")),
        ("new.m4a", ("ffmpeg", "-i", "{song}", "-c:a", "aac", "{new}")),
    ],
)
def test_encoded_again_with_the_same_settings_it_is_the_same(
    songs: Songs, tmp_path: Path, new: str, command: tuple[str, ...]
) -> None:
    run(*command, song=songs.wav, new=tmp_path / f"one {new}")
    run(*command, song=songs.wav, new=tmp_path / f"two {new}")
    assert hear(tmp_path / f"one {new}") == hear(tmp_path / f"two {new}")


def test_mp3gain_in_the_frames_is_another_recording_until_it_is_taken_back(songs: Songs, tmp_path: Path) -> None:
    song = songs.copy("mp3", tmp_path)
    run("mp3gain", "-q", "-g", "2", "{song}", song=song)
    assert hear(song) != songs.hear("mp3")
    run("mp3gain", "-q", "-u", "{song}", song=song)
    assert hear(song) == songs.hear("mp3")


@pytest.mark.parametrize("zeros", [1, 1000])
def test_zeros_before_the_first_frame_are_no_sound(songs: Songs, tmp_path: Path, zeros: int) -> None:
    song = songs.copy("mp3", tmp_path)
    mutagen.File(song).delete()
    song.write_bytes(bytes(zeros) + song.read_bytes())
    assert hear(song) == songs.hear("mp3")


@pytest.mark.parametrize("encoding", ["mu-law", "a-law", "unsigned-integer"])
def test_eight_bits_are_what_they_decode_to(songs: Songs, tmp_path: Path, encoding: str) -> None:
    song, wide = tmp_path / "song.wav", tmp_path / "wide.wav"
    run("sox", "-D", "{wav}", "-e", encoding, "-b", "8", "{new}", wav=songs.wav, new=song)
    run("ffmpeg", "-i", "{song}", "-c:a", "pcm_s16le", "{new}", song=song, new=wide)
    assert hear(song) == hear(wide)


def test_dual_mono_is_mono(tmp_path: Path) -> None:
    mono = write_samples(tmp_path / "mono.wav", make_noise(100_000, 1), subtype="PCM_16")
    samples, rate = read_samples(mono)
    both = write_samples(tmp_path / "both.wav", np.repeat(samples, 2, axis=1), rate, "PCM_24")
    assert hear(both) == hear(mono)
    samples = np.repeat(samples, 2, axis=1)
    samples[-1, 1] += 2**-15
    assert hear(write_samples(both, samples, rate, "PCM_24")) != hear(mono)


def test_six_channels_in_flac_and_wavpack(tmp_path: Path) -> None:
    wav = write_samples(tmp_path / "song.wav", make_noise(30_000, 6), subtype="PCM_16")
    for new in ("song.flac", "song.wv", "song.caf"):
        run("ffmpeg", "-i", "{wav}", "{new}", wav=wav, new=tmp_path / new)
        assert hear(tmp_path / new) == hear(wav)


def _changed(change: Callable[[np.ndarray], np.ndarray], rate: int = 44100) -> Callable[[Songs, Path], Path]:
    def make(songs: Songs, folder: Path) -> Path:
        return write_samples(folder / "new.wav", change(read_samples(songs.wav)[0]), rate, "PCM_24")

    return make


def _by(kind: str, new: str, *command: str) -> Callable[[Songs, Path], Path]:
    def make(songs: Songs, folder: Path) -> Path:
        run(*command, song=songs.get(kind), new=folder / new)
        return folder / new

    return make


def _cut(kind: str) -> Callable[[Songs, Path], Path]:
    return _by(kind, f"new.{kind}", "ffmpeg", "-t", "2", "-i", "{song}", "-c", "copy", "{new}")


def _louder_by_one(samples: np.ndarray) -> np.ndarray:
    samples[1000, 1] += 2**-15
    return samples


DIFFERENT: dict[str, tuple[str, Callable[[Songs, Path], Path]]] = {
    "one sample +1": ("wav", _changed(_louder_by_one)),
    "-0.1 dB": ("wav", _changed(lambda samples: samples * 10 ** (-0.1 / 20))),
    "one sample less": ("wav", _changed(lambda samples: samples[:-1])),
    "one sample more": ("wav", _changed(lambda samples: np.concatenate([samples, samples[-1:]]))),
    "48 kHz": ("wav", _by("wav", "new.wav", "sox", "{song}", "-r", "48000", "{new}")),
    "rate in the header only": ("wav", _changed(lambda samples: samples, 48000)),
    "left and right swapped": ("wav", _changed(lambda samples: samples[:, ::-1])),
    "inverted": ("wav", _changed(lambda samples: -samples)),
    "24 bits to 16": ("24", _by("24", "new.wav", "sox", "-D", "{song}", "-b", "16", "{new}")),
    "another setting of the encoder": (
        "mp3",
        _by("wav", "new.mp3", "ffmpeg", "-i", "{song}", "-c:a", "libmp3lame", "-b:a", "160k", "{new}"),
    ),
    "another encoding of Vorbis": (
        "ogg",
        _by("wav", "new.ogg", "ffmpeg", "-i", "{song}", "-c:a", "libvorbis", "-q:a", "7", "{new}"),
    ),
    "cut MP3": ("mp3", _cut("mp3")),
    "cut M4A": ("m4a", _cut("m4a")),
    "cut FLAC that keeps the MD5 of the whole": ("flac", _cut("flac")),
    "mixed down to one channel and out to two": (
        "wav",
        _by("wav", "new.wav", "sox", "{song}", "{new}", "remix", "-", "-"),
    ),
    "WavPack, hybrid": ("wav", _by("wav", "new.wv", "wavpack", "-q", "-b256", "{song}", "-o", "{new}")),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_sounds_different_is_another_recording(songs: Songs, tmp_path: Path, name: str) -> None:
    kind, make = DIFFERENT[name]
    if kind == "24":
        songs = Songs(tmp_path)
        write_samples(songs.folder / "song.24", make_noise(44100), subtype="PCM_24", container="WAV")
    assert digest_of(make(songs, tmp_path)) != songs.hear(kind)


def test_a_file_cut_short_is_never_the_whole(songs: Songs, tmp_path: Path) -> None:
    for kind in ("wav", "flac", "mp3", "ogg", "opus", "wv"):
        song = truncate(songs.copy(kind, tmp_path), 0.6)
        assert digest_of(song) != songs.hear(kind)


@pytest.fixture(scope="session")
def long_song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes of noise."""
    path = tmp_path_factory.mktemp("long") / "song.wav"
    with soundfile.SoundFile(path, "w", 44100, 2, subtype="PCM_16") as opened:
        for number in range(18):
            opened.write(make_noise(441_000, peak=0.4, seed=number))
    return path


def test_three_minutes_as_flac_and_wav(long_song: Path, tmp_path: Path) -> None:
    run("flac", "-s", "-0", "-o", "{new}", "{wav}", new=tmp_path / "song.flac", wav=long_song)
    assert hear(tmp_path / "song.flac") == hear(long_song)


def test_three_minutes_of_mp3_with_a_large_cover_and_in_matroska(long_song: Path, tmp_path: Path) -> None:
    plain, tagged = tmp_path / "plain.mp3", tmp_path / "tagged.mp3"
    run("ffmpeg", "-i", "{wav}", "-b:a", "192k", "-compression_level", "9", "{new}", wav=long_song, new=plain)
    shutil.copy(plain, tagged)
    audio = mutagen.File(tagged)
    audio.tags.add(mutagen.id3.APIC(encoding=3, mime="image/jpeg", type=3, data=bytes(range(256)) * 4000))
    audio.save()
    run("ffmpeg", "-i", "{song}", "-c", "copy", "-map", "a", "{new}", song=plain, new=tmp_path / "song.mka")
    assert hear(plain) == hear(tagged) == hear(tmp_path / "song.mka")
