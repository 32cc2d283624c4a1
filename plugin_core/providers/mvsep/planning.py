"""Checking a wish against model, account, limits and balance before anything is uploaded."""

from __future__ import annotations

from typing import Final

import msgspec

from plugin_core.errors import RefusedError
from plugin_core.model import Plan, Separation, Source
from plugin_core.providers.mvsep.account import is_premium
from plugin_core.providers.mvsep.account_calls import User
from plugin_core.providers.mvsep.algorithms import Algorithm
from plugin_core.providers.mvsep.formats import PREMIUM_REMEDY, choose_output, final_format
from plugin_core.providers.mvsep.labels import stems_of
from plugin_core.providers.mvsep.options import IS_DEMO, OUTPUT_FORMAT, default_options, read_demo, resolve_options
from plugin_core.providers.mvsep.prices import estimate_credits

PREMIUM: Final = 2
"""``orientation`` of models for premium accounts."""

MINUTES: Final = {False: 10, True: 100}
"""Longest song of an account without and with premium; as clients report it, so that it warns only."""

MEGABYTES: Final = {False: 100, True: 1000}
"""Largest upload, likewise."""

PACKED: Final = 0.65
"""Share of its samples' size that FLAC takes for a loud song."""


def make_plan(algorithm: Algorithm, source: Source, wish: Separation, user: User, *, is_over: bool = False) -> Plan:
    """Return the plan for one source.

    Args:
        algorithm: the model.
        source: the song.
        wish: the user's.
        user: the account.
        is_over: whether the song is floats that lie over full scale.

    Raises:
        UsageError: an option or format is wrong.
        RefusedError: the account may not use the model or format, or surely has too few credits.
    """
    options = resolve_options(algorithm, wish.options)
    demo = read_demo(wish.options)
    has_premium = is_premium(user)
    if algorithm.orientation >= PREMIUM and not has_premium:
        raise RefusedError(
            f"MVSEP gives model {algorithm.id}, {algorithm.name}, to premium accounts only", remedy=PREMIUM_REMEDY
        )
    price = estimate_credits(algorithm, options, source.duration)
    is_short = has_premium and user.premium_minutes is not None and user.premium_minutes < price
    output, note = choose_output(
        wish.options.get(OUTPUT_FORMAT, ""),
        source,
        wish.format,
        is_premium=has_premium and not is_short,
        is_over=is_over,
    )
    if is_short and algorithm.orientation >= PREMIUM:
        raise RefusedError(
            f"{algorithm.name} takes {price} credits for this song and the account has {user.premium_minutes:g}",
            remedy="buy credits at https://mvsep.com, or choose another model",
        )
    notes = [note, *_warn(source, user, price if is_short else None)]
    if demo == "1":
        notes.append("is_demo: MVSEP will show the result to everybody")
    resolved = options | {OUTPUT_FORMAT: output.key} | ({IS_DEMO: "1"} if demo == "1" else {})
    return Plan(
        operation=msgspec.structs.replace(
            wish, model=algorithm.id, options=resolved, format=wish.format or final_format(output, source)
        ),
        title=algorithm.name,
        stems=stems_of(algorithm),
        credits=float(price) if has_premium else 0.0,
        notes=tuple(filter(None, notes)),
        defaults=default_options(algorithm, resolved),
        output=output.final,
        output_option=OUTPUT_FORMAT,
        is_output_wished=OUTPUT_FORMAT in wish.options,
    )


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
