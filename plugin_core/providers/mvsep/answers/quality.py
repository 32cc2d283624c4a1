"""What the quality checker says."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plugin_core.providers.mvsep.answers.account import list_of
from plugin_core.providers.mvsep.answers.drift import as_list, as_mapping, as_number, as_text, read

_NO_VALUE: Final = (0.0, -1000.0)


class QualityEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One set of separations that was measured."""

    id: int | None = None
    dataset_type: int | None = None
    dataset_name: str = ""
    date: str = ""
    algo_name: str = ""
    main_text: str = ""
    proc: int | None = None
    msg: str = ""
    """"OK", or what went wrong."""
    metrics: tuple[str, ...] = ()
    """Lines such as ``Metric sdr for vocals: 11.72``."""
    is_ensemble: bool | None = None
    sdr: dict[str, float] = {}
    """Stem to SDR in decibels; values that mean "none" (0, -1000) are left out."""


class Leaderboard(msgspec.Struct, frozen=True, kw_only=True):
    """The best of one data set."""

    entries: tuple[QualityEntry, ...] = ()
    dataset_type: int | None = None
    sortables: tuple[str, ...] = ()
    sort: str = ""


class QualityAdded(msgspec.Struct, frozen=True, kw_only=True):
    """A set of separations that was accepted for measuring."""

    id: int | None = None
    link: str = ""


def parse_entry(data: object) -> QualityEntry:
    """Read one entry."""
    raw = as_mapping(data)
    lines = raw.get("metrics")
    metrics = lines.splitlines() if isinstance(lines, str) and lines[:1] not in ("[", "{") else as_list(lines)
    entry = read(QualityEntry, {**raw, "metrics": None})
    return msgspec.structs.replace(
        entry,
        metrics=tuple(as_text(line).strip() for line in metrics if as_text(line).strip()),
        sdr=_read_sdr(raw),
    )


def parse_entries(payload: object) -> tuple[QualityEntry, ...]:
    """Read a page of entries."""
    return tuple(parse_entry(item) for item in list_of(payload))


def parse_leaderboard(payload: object) -> Leaderboard:
    """Read a leaderboard."""
    body = as_mapping(payload)
    return Leaderboard(
        entries=parse_entries(body if "data" in body else payload),
        dataset_type=read(QualityEntry, body).dataset_type,
        sortables=tuple(as_text(item) for item in as_list(body.get("sortables")) if as_text(item)),
        sort=as_text(body.get("sort")),
    )


def parse_added(payload: object) -> QualityAdded:
    """Read the answer to an entry that was sent."""
    body = as_mapping(payload)
    return read(QualityAdded, as_mapping(body.get("data")) or body)


def _read_sdr(raw: dict[str, Any]) -> dict[str, float]:
    found = {key.removeprefix("sdr_"): as_number(raw[key]) for key in raw if key.startswith("sdr_")}
    return {stem: number for stem, number in found.items() if number is not None and number not in _NO_VALUE}
