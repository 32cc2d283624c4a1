"""What CI takes, from the manifest, and templates of it: modes, codecs, rates; checked before anything is uploaded."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from plugin_core.errors import UsageError, suggest
from plugin_core.manifests import manifest
from plugin_core.providers.tencent_ci.caller import nodes_of, text_of, write_xml

TAG: Final = "VoiceSeparate"
DEFAULT_MODE: Final = "AudioAndBackground"
OPTIONS: Final = ("codec", "samplerate", "bitrate", "channels", "template", "queue", "level")
LEVELS: Final = ("0", "1", "2")
ENCODING: Final = ("samplerate", "bitrate", "channels")
"""What the service chooses itself in a mode that is ``fixed``, and where nothing is said."""

_NAME: Final = re.compile(r"[0-9A-Za-z_*\-\u3400-\u4dbf\u4e00-\u9fff]{1,64}\Z")


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


class Rules(msgspec.Struct, frozen=True):
    """The manifest ``providers/tencent_ci.toml``."""

    codecs: dict[str, Codec]
    bitrate: Range
    modes: dict[str, Mode]
    outputs: dict[str, str]


@functools.cache
def load_rules() -> Rules:
    return msgspec.convert(tomllib.loads(manifest("providers/tencent_ci.toml").read_text(encoding="utf-8")), Rules)


class AudioConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How the results are encoded; "" leaves a value to the service."""

    codec: str
    samplerate: str = ""
    bitrate: str = ""
    channels: str = ""

    def nodes(self) -> dict[str, str]:
        return {
            "Codec": self.codec,
            "Samplerate": self.samplerate,
            "Bitrate": self.bitrate,
            "Channels": self.channels,
        }


def find_mode(name: str, what: str = "model") -> str:
    """Return the AudioMode that a user's word means, whatever its case.

    Args:
        name: the word.
        what: how the user calls it.

    Raises:
        UsageError: there is none.
    """
    modes = load_rules().modes
    known = {mode.casefold(): mode for mode in modes}
    if name.casefold() not in known:
        raise UsageError(f"unknown {what} {name!r} of tencent_ci", remedy=_suggest(name, modes))
    return known[name.casefold()]


def check_options(options: Mapping[str, str]) -> None:
    """Refuse options the service does not have.

    Raises:
        UsageError: an unknown name or level, or a queue that is none.
    """
    for name in options:
        if name not in OPTIONS:
            raise UsageError(f"unknown option {name!r} of tencent_ci", remedy=_suggest(name, OPTIONS))
    if not options.get("queue", "").isprintable():
        raise UsageError(
            "option queue of tencent_ci is no id", remedy="`stembridge tencent bucket` shows those there are"
        )
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
    return _config(mode, options, lambda rates: _nearest(rates, sample_rate), lambda counts: _nearest(counts, channels))


def template_config(mode: str, options: Mapping[str, str]) -> AudioConfig:
    """Return what a template says: the user's options, checked, and for the rest the service's own choice.

    Args:
        mode: an AudioMode.
        options: the user's.

    Raises:
        UsageError: the mode or codec cannot do what an option asks.
    """
    return _config(mode, options, _only, _only)


def check_template_name(name: str) -> None:
    """Refuse a name that no template can have; https://cloud.tencent.com/document/product/460/77726.

    Raises:
        UsageError: it cannot.
    """
    if not _NAME.match(name):
        raise UsageError(
            f"no template can be called {name!r}",
            remedy="a name has 1 to 64 letters, digits, Chinese characters, _, - or *",
        )


_Allowed = tuple[int, ...]
_Default = Callable[[_Allowed], str]


def _config(mode: str, options: Mapping[str, str], rate: _Default, count: _Default) -> AudioConfig:
    rules = load_rules()
    mode_rule = rules.modes[mode]
    codec = options.get("codec", mode_rule.codecs[0]).lower()
    if codec not in mode_rule.codecs:
        raise UsageError(
            f"{mode} cannot give {codec!r}", remedy=f"choose codec {', '.join(mode_rule.codecs)}, or leave it out"
        )
    if mode_rule.fixed:
        _refuse_ignored(mode, options)
        return AudioConfig(codec=codec)
    rule = rules.codecs[codec]
    return AudioConfig(
        codec=codec,
        samplerate=_choose("samplerate", options, rule.sample_rates, rate, codec),
        channels=_choose("channels", options, rule.channels, count, codec),
        bitrate=_bitrate(options, rule, rules.bitrate, codec),
    )


def _refuse_ignored(mode: str, options: Mapping[str, str]) -> None:
    ignored = [name for name in ENCODING if name in options]
    if ignored:
        raise UsageError(f"{mode} ignores {', '.join(ignored)}", remedy="leave the option out: the service chooses")


def _choose(name: str, options: Mapping[str, str], allowed: _Allowed, default: _Default, codec: str) -> str:
    if name not in options:
        return default(allowed)
    value = options[name]
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


def _nearest(allowed: _Allowed, wanted: int) -> str:
    """Return the least value that loses nothing, or the greatest there is."""
    return str(min((value for value in allowed if value >= wanted), default=max(allowed)))


def _only(allowed: _Allowed) -> str:
    """Return the value that is the only one: the service would take its usual one, and refuse."""
    return str(allowed[0]) if len(allowed) == 1 else ""


def _suggest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    return suggest(word, known, f"there are {', '.join(known)}", cutoff=0.5)


class CiTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """One template; the id is "" until the service gives one."""

    name: str
    mode: str
    config: AudioConfig
    id: str = ""
    category: str = ""
    """``Custom`` or ``Official``."""
    created: str = ""
    updated: str = ""

    def to_xml(self) -> bytes:
        """Return the body that creates or replaces it."""
        return write_xml(
            "Request", {"Tag": TAG, "Name": self.name, "AudioMode": self.mode, "AudioConfig": self.config.nodes()}
        )


def make_template(name: str, mode: str, options: Mapping[str, str]) -> CiTemplate:
    """Return a template that the service will take.

    Args:
        name: the user's.
        mode: an AudioMode, in any case.
        options: codec, samplerate, bitrate, channels; those that are not said are the service's choice, but the codec.

    Raises:
        UsageError: it would not.
    """
    check_template_name(name)
    mode = find_mode(mode, "mode")
    return CiTemplate(name=name, mode=mode, config=template_config(mode, options))


def change_template(template: CiTemplate, name: str | None, mode: str | None, options: Mapping[str, str]) -> CiTemplate:
    """Return a template with what was said changed; another mode or codec begins the encoding anew.

    Raises:
        UsageError: the service would not take it.
    """
    if name is not None:
        check_template_name(name)
        template = msgspec.structs.replace(template, name=name)
    if mode is None and not options:
        return template
    wanted = find_mode(template.mode if mode is None else mode, "mode")
    codec = options.get("codec", template.config.codec).lower()
    is_anew = wanted != template.mode or codec != template.config.codec
    kept = {} if is_anew else {key: value for key, value in msgspec.structs.asdict(template.config).items() if value}
    return msgspec.structs.replace(template, mode=wanted, config=template_config(wanted, kept | dict(options)))


def read_templates(document: Mapping[str, Any]) -> tuple[CiTemplate, ...]:
    """Read an answer that holds one template, or a list of them; those of other jobs are left out."""
    nodes = nodes_of(document, "Template") + nodes_of(document, "TemplateList")
    return tuple(_read(node) for node in nodes if text_of(node.get("Tag")) in ("", TAG))


def _read(node: Mapping[str, Any]) -> CiTemplate:
    what = next(iter(nodes_of(node, TAG)), {})
    config = next(iter(nodes_of(what, "AudioConfig")), {})
    return CiTemplate(
        id=text_of(node.get("TemplateId")),
        name=text_of(node.get("Name")),
        mode=text_of(what.get("AudioMode")),
        config=AudioConfig(
            codec=text_of(config.get("Codec")),
            samplerate=text_of(config.get("Samplerate")),
            bitrate=text_of(config.get("Bitrate")),
            channels=text_of(config.get("Channels")),
        ),
        category=text_of(node.get("Category")),
        created=text_of(node.get("CreateTime")),
        updated=text_of(node.get("UpdateTime")),
    )
