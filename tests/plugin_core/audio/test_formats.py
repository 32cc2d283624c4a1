from __future__ import annotations

import subprocess
import sys

import pytest

from plugin_core.audio.formats import FORMAT_NAMES, FORMATS, resolve_format
from plugin_core.audio.info import AudioInfo
from plugin_core.errors import SourceError, UsageError


def make_info(
    encoding: str = "pcm_16", *, channels: int = 2, frames: int = 44100, duration: float = 0.0, sample_rate: int = 44100
) -> AudioInfo:
    return AudioInfo(
        frames=frames,
        sample_rate=sample_rate,
        channels=channels,
        encoding=encoding,
        container="WAV",
        duration=duration or frames / 44100,
        decoder="libsndfile",
    )


@pytest.mark.parametrize(
    ("encoding", "default", "flac", "wav", "w64"),
    [
        ("pcm_u8", "flac16", "flac16", "wav16", "w64_16"),
        ("pcm_s8", "flac16", "flac16", "wav16", "w64_16"),
        ("pcm_16", "flac16", "flac16", "wav16", "w64_16"),
        ("pcm_24", "flac24", "flac24", "wav24", "w64_24"),
        ("lossy", "flac24", "flac24", "wav24", "w64_24"),
        ("pcm_32", "wav32f", "flac24", "wav32f", "w64_32f"),
        ("float", "wav32f", "flac24", "wav32f", "w64_32f"),
        ("double", "wav32f", "flac24", "wav32f", "w64_32f"),
    ],
)
def test_family_takes_the_depth_of_the_source(encoding: str, default: str, flac: str, wav: str, w64: str) -> None:
    info = make_info(encoding)

    assert [resolve_format(wish, info).name for wish in ("", "flac", "wav", "w64")] == [default, flac, wav, w64]


@pytest.mark.parametrize("name", ["flac16", "flac24", "wav16", "wav24", "wav32f", "mp3", "m4a"])
def test_concrete_wish_is_kept(name: str) -> None:
    assert resolve_format(name, make_info("float")).name == name


def test_every_offered_name_resolves() -> None:
    for name in FORMAT_NAMES:
        chosen = resolve_format(name.upper() + " ", make_info())
        assert FORMATS[chosen.name] is chosen
        assert chosen.suffix.startswith(".")


@pytest.mark.parametrize(("wish", "expected"), [("wav24", "w64_24"), ("wav", "w64_16"), ("wav32f", "w64_32f")])
def test_wav_beyond_its_four_gibibytes_becomes_w64(wish: str, expected: str) -> None:
    frames = 2**32 // {"wav24": 6, "wav": 4, "wav32f": 8}[wish]

    assert resolve_format(wish, make_info(frames=frames)).name == expected
    assert resolve_format(wish, make_info(frames=frames - 10_000)).suffix == ".wav"


def test_length_is_estimated_where_the_header_is_silent() -> None:
    assert resolve_format("wav24", make_info("lossy", frames=0, duration=8 * 3600.0)).name == "w64_24"


def test_unknown_name_suggests_and_lists() -> None:
    with pytest.raises(UsageError, match=r"'flc'.*did you mean flac\?.*flac16.*m4a"):
        resolve_format("flc", make_info())


@pytest.mark.parametrize("name", ["w64_16", "ogg", "../flac", "pcm"])
def test_inner_and_foreign_names_are_handled(name: str) -> None:
    if name in FORMATS:
        assert resolve_format(name, make_info()).name == name
        return
    with pytest.raises(UsageError):
        resolve_format(name, make_info())


def test_mp3_is_refused_for_more_than_two_channels() -> None:
    with pytest.raises(SourceError, match="mp3 holds at most 2 channels and the source has 6"):
        resolve_format("mp3", make_info(channels=6))


def test_formats_cost_no_numpy() -> None:
    code = "import sys, plugin_core.audio.formats; sys.exit('numpy' in sys.modules or 'soundfile' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("sample_rate", "fits"), [(65_535, True), (88_200, True), (65_537, False), (88_201, False)])
def test_rates_flac_cannot_say_go_into_wav(sample_rate: int, fits: bool) -> None:
    info = make_info("pcm_24", sample_rate=sample_rate)

    assert resolve_format("", info).name == ("flac24" if fits else "wav24")
    if not fits:
        with pytest.raises(SourceError, match=f"flac16 cannot hold {sample_rate} Hz; choose wav"):
            resolve_format("flac16", info)
