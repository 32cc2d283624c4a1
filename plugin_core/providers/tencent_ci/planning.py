"""Checking a wish before anything is uploaded: mode, codec, template and the rest."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from plugin_core.audio.formats import usual_format
from plugin_core.audio.overload import CLIPPED
from plugin_core.errors import UsageError
from plugin_core.model import Model, Plan, Separation, Source
from plugin_core.providers.tencent_ci.rules import Mode, audio_config, check_options, find_mode, load_rules
from plugin_core.providers.tencent_ci.settings import NAME
from plugin_core.providers.tencent_ci.templates import Template

_AUDIO: tuple[str, ...] = ("codec", "samplerate", "bitrate", "channels")


def list_models() -> tuple[Model, ...]:
    """Return the four AudioModes."""
    return tuple(_describe(name, mode) for name, mode in load_rules().modes.items())


def make_plan(
    source: Source, wish: Separation, template: Template | None, default: str, *, is_over: bool = False
) -> Plan:
    """Return the plan for one source.

    Args:
        source: the song.
        wish: the user's.
        template: that the wish names; it outranks mode and codec.
        default: the mode when none is asked for.
        is_over: whether the song is floats that lie over full scale.

    Raises:
        UsageError: mode, option, codec or format is wrong.
        SourceError: the source does not fit the format.
    """
    check_options(wish.options)
    mode = find_mode(template.mode if template is not None and template.mode else wish.model or default)
    options = dict(wish.options)
    notes = []
    if template is None:
        config = audio_config(mode, wish.options, source.sample_rate, source.channels)
        options |= {name: value for name, value in msgspec.structs.asdict(config).items() if value}
        codec = config.codec
    else:
        _check_template(template, wish, mode)
        codec = template.config.codec or "aac"
    if not load_rules().codecs[codec].lossless:
        notes.append(f"{codec} is lossy: the stems will not sum exactly to the song")
    if is_over:
        notes.append(f"{CLIPPED}: {codec} cannot hold it")
    if options.get("channels", str(source.channels)) != str(source.channels):
        notes.append(f"{codec} gives {options['channels']} channels of the song's {source.channels}")
    return Plan(
        operation=msgspec.structs.replace(
            wish, model=mode, options=options, format=wish.format or usual_format(source)
        ),
        stems=load_rules().modes[mode].stems,
        notes=tuple(notes),
    )


def codec_of(options: Mapping[str, str]) -> str:
    """Return the codec of a planned job, which is also the suffix of its results."""
    return options.get("codec", "") or "aac"


def _check_template(template: Template, wish: Separation, mode: str) -> None:
    if wish.model and find_mode(wish.model) != mode:
        raise UsageError(
            f"template {template.id} of {NAME} is for {mode}, not {wish.model}", remedy="leave --model out"
        )
    given = [name for name in _AUDIO if name in wish.options]
    if given:
        raise UsageError(
            f"the template decides about {', '.join(given)}", remedy="leave the option out, or the template"
        )
    codec = template.config.codec
    if codec and codec not in load_rules().codecs:
        raise UsageError(f"template {template.id} gives {codec!r}, which is not known", remedy="use another template")


def _describe(name: str, mode: Mode) -> Model:
    codecs = ", ".join(mode.codecs)
    fixed = "; the service chooses sample rate and channels" if mode.fixed else ""
    price = "billed by Tencent Cloud"
    return Model(
        id=name, name=name, stems=mode.stems, price=price, access="registered", summary=f"{price}; {codecs}{fixed}"
    )
