"""What CI takes, from the manifest: modes, codecs, rates; checked before anything is uploaded."""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from plugin_core.errors import UsageError
from plugin_core.manifests import manifest

DEFAULT_MODE: Final = "AudioAndBackground"
OPTIONS: Final = ("codec", "samplerate", "bitrate", "channels", "template", "queue", "level")
LEVELS: Final = ("0", "1", "2")


class Codec(msgspec.Struct, frozen=True):
    """What one codec can hold; an empty tuple leaves the choice to the service."""

    sample_rates: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    lossless: bool = False


class Mode(msgspec.Struct, frozen=True):
    """One AudioMode: what comes out, and in which codecs."""

    stems: tuple[str, ...]
    codecs: tuple[str, ...]
    """The best first."""
    fixed: bool = False
    """Whether the service chooses sample rate, bit rate and channels itself."""


class Range(msgspec.Struct, frozen=True):
    """Least and most, both allowed."""

    least: int
    most: int


class Inputs(msgspec.Struct, frozen=True):
    """What the service reads."""

    extensions: tuple[str, ...]


class Rules(msgspec.Struct, frozen=True):
    """The manifest ``providers/tencent_ci.toml``."""

    codecs: dict[str, Codec]
    bitrate: Range
    modes: dict[str, Mode]
    outputs: dict[str, str]
    inputs: Inputs


@functools.cache
def load_rules() -> Rules:
    """Return the rules as shipped."""
    return msgspec.convert(tomllib.loads(manifest("providers/tencent_ci.toml").read_text(encoding="utf-8")), Rules)


class AudioConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How the results are encoded; "" leaves a value to the service."""

    codec: str
    samplerate: str = ""
    bitrate: str = ""
    channels: str = ""

    def nodes(self) -> dict[str, str]:
        """Return the nodes of the request."""
        return {
            "Codec": self.codec,
            "Samplerate": self.samplerate,
            "Bitrate": self.bitrate,
            "Channels": self.channels,
        }


def find_mode(name: str) -> str:
    """Return the AudioMode that a user's word means, whatever its case.

    Raises:
        UsageError: there is none.
    """
    modes = load_rules().modes
    known = {mode.casefold(): mode for mode in modes}
    if name.casefold() not in known:
        raise UsageError(f"unknown model {name!r} of tencent_ci", remedy=_suggest(name, modes))
    return known[name.casefold()]


def check_options(options: Mapping[str, str]) -> None:
    """Refuse options the service does not have.

    Raises:
        UsageError: an unknown name or level.
    """
    for name in options:
        if name not in OPTIONS:
            raise UsageError(f"unknown option {name!r} of tencent_ci", remedy=_suggest(name, OPTIONS))
    if options.get("level", "0") not in LEVELS:
        raise UsageError(f"option level={options['level']!r} of tencent_ci", remedy=f"it is one of {', '.join(LEVELS)}")


def audio_config(mode: str, options: Mapping[str, str], sample_rate: int, channels: int) -> AudioConfig:
    """Return what to ask for: the user's options, and for the rest what keeps the source as it is.

    Args:
        mode: an AudioMode.
        options: the user's.
        sample_rate: of the source, hertz.
        channels: of the source.

    Raises:
        UsageError: the mode or codec cannot do what an option asks.
    """
    rules = load_rules()
    mode_rule = rules.modes[mode]
    codec = options.get("codec", mode_rule.codecs[0]).lower()
    if codec not in mode_rule.codecs:
        raise UsageError(
            f"{mode} cannot give {codec!r}",
            remedy=f"use --option codec={{{','.join(mode_rule.codecs)}}} or leave it out",
        )
    if mode_rule.fixed:
        _refuse_ignored(mode, options)
        return AudioConfig(codec=codec)
    rule = rules.codecs[codec]
    return AudioConfig(
        codec=codec,
        samplerate=_choose("samplerate", options, rule.sample_rates, _nearest(rule.sample_rates, sample_rate), codec),
        channels=_choose("channels", options, rule.channels, _nearest(rule.channels, channels), codec),
        bitrate=_bitrate(options, rule, rules.bitrate, codec),
    )


def _refuse_ignored(mode: str, options: Mapping[str, str]) -> None:
    ignored = [name for name in ("samplerate", "bitrate", "channels") if name in options]
    if ignored:
        raise UsageError(f"{mode} ignores {', '.join(ignored)}", remedy="leave the option out: the service chooses")


def _choose(name: str, options: Mapping[str, str], allowed: tuple[int, ...], default: int, codec: str) -> str:
    value = options.get(name, str(default))
    if value not in [str(each) for each in allowed]:
        offered = ", ".join(str(each) for each in allowed)
        raise UsageError(f"{codec} cannot have {name}={value!r}", remedy=f"it is one of {offered}")
    return value


def _bitrate(options: Mapping[str, str], codec_rule: Codec, limits: Range, codec: str) -> str:
    value = options.get("bitrate", "")
    if not value:
        return ""
    if codec_rule.lossless:
        raise UsageError(f"{codec} is lossless and has no bitrate", remedy="leave the option out")
    if not value.isdecimal() or not limits.least <= int(value) <= limits.most:
        raise UsageError(
            f"bitrate={value!r} is out of range", remedy=f"it is {limits.least} to {limits.most} kbit/s, a whole number"
        )
    return value


def _nearest(allowed: tuple[int, ...], wanted: int) -> int:
    """Return the least value that loses nothing, or the greatest there is."""
    return min((value for value in allowed if value >= wanted), default=max(allowed))


def _suggest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
