"""What a separation would be: formats, price and limits, checked before anything is uploaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

import msgspec

from plugin_core.audio.formats import resolve_format
from plugin_core.audio.overload import CLIPPED
from plugin_core.errors import RefusedError, SourceError, UsageError
from plugin_core.model import Plan, Separation, Source
from plugin_core.providers.mvsep.account import is_premium
from plugin_core.providers.mvsep.account_calls import User
from plugin_core.providers.mvsep.catalogue import Algorithm
from plugin_core.providers.mvsep.models import results_of, stems_of
from plugin_core.providers.mvsep.options import (
    DEEP,
    IS_DEMO,
    OPEN,
    OUTPUT_FORMAT,
    OUTPUT_FORMATS,
    PRESET,
    REFERENCE,
    SHALLOW,
    WEBHOOK,
    OutputFormat,
    default_options,
    read_demo,
    resolve_options,
)


def multiplier(algorithm: Algorithm, options: Mapping[str, str]) -> Fraction:
    """Return the product of the price rules that the options, by field name, set off."""
    product = Fraction(1)
    for field in algorithm.fields:
        for rule in field.price_rules:
            if rule.mode == "multiplier" and options.get(field.name) == rule.option:
                product *= Fraction(rule.value)
    return product


def estimate_credits(algorithm: Algorithm, options: Mapping[str, str], seconds: float) -> int:
    """Return the credits for a song: multiplied first and rounded down once, as the service does."""
    exact = Fraction(seconds) * Fraction(algorithm.coefficient) * multiplier(algorithm, options) / 60
    return max(1, math.floor(exact))


PREMIUM_REMEDY: Final = "`stembridge account mvsep` shows the plan, `stembridge mvsep premium on` spends its credits"


_DEEP_SOURCES: Final = frozenset({"pcm_24", "pcm_32", "float", "double"})


def choose_output(
    wished: str, source: Source, final: str, *, is_premium: bool, is_over: bool = False
) -> tuple[OutputFormat, str]:
    """Return what the service shall write, and a note when it is less than the source deserves.

    Args:
        wished: option ``output_format``, a number or a name; "" chooses one that keeps the source's depth.
        source: the song.
        final: the format of the stems that is wished; may be "".
        is_premium: whether the account may use 24 and 32 bits.
        is_over: whether the song is floats that lie over full scale.

    Raises:
        UsageError: there is no such format.
    """
    if wished:
        chosen = _find(wished)
        return chosen, f"{CLIPPED}: {chosen.name} cannot hold it" if is_over and chosen is not OPEN else ""
    if is_over:
        return (OPEN, "") if is_premium else (SHALLOW, f"{CLIPPED}: MVSEP gives floats to premium accounts only")
    if not _wants_depth(source, final):
        return SHALLOW, ""
    if is_premium:
        return DEEP, ""
    return SHALLOW, "stems have 16 bits of depth: MVSEP gives 24 to premium accounts only"


def final_format(output: OutputFormat, source: Source) -> str:
    """Return the format of the stems when none is wished: as they come, where that holds the source's sample rate."""
    try:
        return resolve_format(output.final, source).name
    except SourceError:
        return "wav24" if output is DEEP else "wav16"


def _find(word: str) -> OutputFormat:
    wanted = word.strip().lower()
    for one in OUTPUT_FORMATS:
        if wanted in (one.key, one.name):
            return one
    known = ", ".join(f"{one.key} ({one.name})" for one in OUTPUT_FORMATS)
    raise UsageError(f"MVSEP has no output_format {word!r}", remedy=f"choose of {known}")


def _wants_depth(source: Source, final: str) -> bool:
    if not final:
        return source.encoding in _DEEP_SOURCES
    # An unknown name is refused here, before anything is asked of the service.
    chosen = resolve_format(final, source)
    return chosen.is_lossless and (chosen.bits is None or chosen.bits > 16)


PREMIUM: Final = 2
"""``orientation`` of models for premium accounts."""

MINUTES: Final = {False: 10, True: 100}
"""Longest song of an account without and with premium; as clients report it, so that it warns only."""

MEGABYTES: Final = {False: 100, True: 1000}
"""Largest upload, likewise."""

PACKED: Final = 0.65
"""Share of its samples' size that FLAC takes for a loud song."""


_UNKNOWN_LENGTH: Final = "placed as {} as it comes; the price is at least this, its length is not known here"


def make_plan(
    algorithm: Algorithm,
    source: Source,
    wish: Separation,
    user: User,
    *,
    is_over: bool = False,
    is_request: bool = False,
) -> Plan:
    """Return the plan for one source.

    Args:
        algorithm: the model.
        source: the song.
        wish: the user's.
        user: the account.
        is_over: whether the song is floats that lie over full scale.
        is_request: whether the source only stands for a link, or for words.

    Raises:
        UsageError: an option or format is wrong.
    """
    options = resolve_options(algorithm, wish.options)
    demo = read_demo(wish.options)
    has_premium = is_premium(user)
    price = estimate_credits(algorithm, options, source.duration)
    is_short = has_premium and user.premium_minutes is not None and user.premium_minutes < price
    kind = results_of(algorithm)
    as_is = wish.as_is or bool(kind) or is_request
    wished = wish.options.get(OUTPUT_FORMAT, "")
    if as_is and wish.format and not wished:
        # Nobody converts afterwards.
        final = resolve_format(wish.format, source).name
        wished = next((one.key for one in OUTPUT_FORMATS if one.name == final), "")
    output, note = choose_output(
        wished,
        source,
        wish.format,
        is_premium=has_premium and not is_short,
        is_over=is_over,
    )
    notes = [
        note,
        f"the results are {kind}, no stems of the song: placed as they come" if kind else "",
        _UNKNOWN_LENGTH.format(output.name) if is_request else "",
        *_warn(source, user, price if is_short else None),
    ]
    if demo == "1":
        notes.append("is_demo: MVSEP will show the result to everybody")
    resolved = options | {OUTPUT_FORMAT: output.key} | ({IS_DEMO: "1"} if demo == "1" else {})
    resolved |= {name: wish.options[name] for name in (PRESET, WEBHOOK, REFERENCE) if wish.options.get(name)}
    return Plan(
        operation=msgspec.structs.replace(
            wish, model=algorithm.id, options=resolved, format=wish.format or final_format(output, source), as_is=as_is
        ),
        title=algorithm.name,
        stems=stems_of(algorithm),
        credits=float(price) if has_premium else 0.0,
        notes=tuple(filter(None, notes)),
        defaults=default_options(algorithm, resolved),
        asides=(WEBHOOK,),
        output=output.final,
        output_option=OUTPUT_FORMAT,
        is_output_wished=OUTPUT_FORMAT in wish.options,
        refusal=_refuse(algorithm, output, user, price if is_short else None),
    )


def _refuse(algorithm: Algorithm, output: OutputFormat, user: User, short_of: int | None) -> RefusedError | None:
    """Return why the account may not use the model or the format, or surely has too few credits; None if it may."""
    needs_premium = algorithm.orientation >= PREMIUM
    if needs_premium and not is_premium(user):
        return RefusedError(
            f"MVSEP gives model {algorithm.id}, {algorithm.name}, to premium accounts only", remedy=PREMIUM_REMEDY
        )
    if needs_premium and short_of is not None:
        return RefusedError(
            f"{algorithm.name} takes {short_of} credits for this song and the account has {user.premium_minutes:g}",
            remedy="buy credits at https://mvsep.com, or choose another model",
        )
    if output.needs_premium and (short_of is not None or not is_premium(user)):
        return RefusedError(f"MVSEP writes {output.name} for premium accounts only", remedy=PREMIUM_REMEDY)
    return None


def _warn(source: Source, user: User, short_of: int | None) -> list[str]:
    has_premium = is_premium(user)
    plan = "premium" if has_premium else "free"
    notes = []
    if short_of is not None:
        notes.append(f"about {short_of} credits are needed and {user.premium_minutes:g} are left: MVSEP may refuse")
    elif user.premium_enabled and not has_premium:
        notes.append("premium is on and no credits are left: the job waits with those of free accounts")
    if source.duration > MINUTES[has_premium] * 60:
        notes.append(f"longer than the {MINUTES[has_premium]} minutes of a {plan} account: MVSEP may refuse it")
    if estimate_upload(source) > MEGABYTES[has_premium] * 1e6:
        notes.append(f"may be larger than the {MEGABYTES[has_premium]} MB of a {plan} account: MVSEP may refuse it")
    if source.encoding in ("pcm_32", "double", "float"):
        notes.append("sent as 24-bit FLAC; floats beyond full scale as 32-bit float WAV")
    return notes


def estimate_upload(source: Source) -> float:
    """Return about how many bytes are uploaded."""
    depth = 3 if source.encoding in ("pcm_24", "pcm_32", "float", "double") else 2
    return source.duration * source.sample_rate * source.channels * depth * PACKED


def output_of(options: dict[str, str]) -> int:
    """Return the number of the output format that a resolved wish holds."""
    return int(options[OUTPUT_FORMAT])
