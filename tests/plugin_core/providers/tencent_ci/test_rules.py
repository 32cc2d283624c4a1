from __future__ import annotations

import pytest

from plugin_core.errors import UsageError
from plugin_core.providers.tencent_ci.rules import audio_config, check_options, find_mode, load_rules


@pytest.mark.parametrize(
    ("mode", "options", "rate", "channels", "expected"),
    [
        ("AudioAndBackground", {}, 44100, 2, ("flac", "44100", "", "2")),
        ("AudioAndBackground", {}, 48000, 1, ("flac", "48000", "", "1")),
        ("IsAudio", {}, 88200, 2, ("flac", "96000", "", "2")),
        ("IsAudio", {}, 192000, 2, ("flac", "96000", "", "2")),
        ("IsBackground", {}, 8000, 3, ("flac", "11025", "", "4")),
        ("AudioAndBackground", {"codec": "MP3", "bitrate": "320"}, 96000, 6, ("mp3", "48000", "320", "2")),
        ("AudioAndBackground", {"codec": "amr"}, 44100, 2, ("amr", "8000", "", "1")),
        ("AudioAndBackground", {"samplerate": "22050", "channels": "1"}, 44100, 2, ("flac", "22050", "", "1")),
        ("MusicMode", {}, 48000, 2, ("wav", "", "", "")),
        ("MusicMode", {"codec": "aac"}, 48000, 2, ("aac", "", "", "")),
    ],
)
def test_what_is_asked_for_keeps_the_source(
    mode: str, options: dict[str, str], rate: int, channels: int, expected: tuple[str, ...]
) -> None:
    config = audio_config(mode, options, rate, channels)
    assert (config.codec, config.samplerate, config.bitrate, config.channels) == expected


@pytest.mark.parametrize(
    ("mode", "options", "message"),
    [
        ("AudioAndBackground", {"codec": "wav"}, "cannot give 'wav'.*flac"),
        ("MusicMode", {"codec": "flac"}, "cannot give 'flac'.*wav"),
        ("MusicMode", {"samplerate": "44100"}, "ignores samplerate"),
        ("MusicMode", {"channels": "2", "bitrate": "128"}, "ignores bitrate, channels"),
        ("IsAudio", {"codec": "aac", "samplerate": "8000"}, "cannot have samplerate='8000'"),
        ("IsAudio", {"codec": "mp3", "samplerate": "96000"}, "cannot have samplerate='96000'"),
        ("IsAudio", {"codec": "mp3", "channels": "4"}, "cannot have channels='4'"),
        ("IsAudio", {"channels": "3"}, "cannot have channels='3'"),
        ("IsAudio", {"codec": "amr", "channels": "2"}, "cannot have channels='2'"),
        ("IsAudio", {"bitrate": "128"}, "lossless and has no bitrate"),
        ("IsAudio", {"codec": "mp3", "bitrate": "4"}, "out of range"),
        ("IsAudio", {"codec": "mp3", "bitrate": "fast"}, "out of range"),
        ("IsAudio", {"codec": "opus"}, "cannot give 'opus'"),
    ],
)
def test_what_the_service_cannot_do_is_refused_before_any_upload(
    mode: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        audio_config(mode, options, 44100, 2)


def test_modes_are_found_whatever_their_case() -> None:
    assert [find_mode(mode.upper()) for mode in load_rules().modes] == list(load_rules().modes)
    with pytest.raises(UsageError, match="did you mean 'MusicMode'"):
        find_mode("MusikMode")


@pytest.mark.parametrize("options", [{"kodec": "flac"}, {"level": "3"}])
def test_unknown_options_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        check_options(options)


def test_every_stem_of_every_mode_has_an_output() -> None:
    rules = load_rules()
    assert {stem for mode in rules.modes.values() for stem in mode.stems} == set(rules.outputs)
    assert {codec for mode in rules.modes.values() for codec in mode.codecs} <= set(rules.codecs)
