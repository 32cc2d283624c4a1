"""The list of algorithms: live, kept for a day in the home folder, and a dated snapshot where there is no network.

Each is read from every form that has been seen: ``options``, ``outputs`` and ``output_stems`` come as JSON inside JSON,
as objects, lists or null; the shipped snapshot has them decoded, and shorter names for some keys.
"""

from __future__ import annotations

import asyncio
import html
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from plugin_core.errors import StembridgeError
from plugin_core.files.placement import replace_file
from plugin_core.manifests import manifest
from plugin_core.providers.mvsep.loose_json import as_count, as_flag, as_list, as_mapping, as_number, as_texts

SUMMARY_LENGTH: Final = 160
_UPLOAD: Final = "single_upload"
_NO_UPLOAD: Final = "no_upload"
_TWO_UPLOADS: Final = "matchering_upload"


class PriceRule(msgspec.Struct, frozen=True, kw_only=True):
    """What choosing an option does to the price."""

    option: str
    mode: str
    """``multiplier`` is the only one seen."""
    value: str
    """A decimal number."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """When a field is there."""

    field_id: int | None
    """Of the sibling it depends on."""
    operator: str
    """``in`` is the only one seen."""
    values: tuple[str, ...]
    action: str
    """``show`` or ``hide``, if the condition holds."""


class OptionField(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be chosen or written for an algorithm."""

    id: int | None
    name: str
    """``add_opt1`` ...: what the service calls it; positions mean nothing."""
    text: str
    """What people call it."""
    server_key: str
    kind: str
    """``select``, ``text`` or ``textarea``."""
    options: dict[str, str]
    """Texts by key; keys are neither contiguous nor always numbers."""
    default: str | None
    is_required: bool
    price_rules: tuple[PriceRule, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Algorithm(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked of the service: by which options, at which price, and what comes back."""

    id: str
    """``render_id``, which is sent as ``sep_type``."""
    name: str
    group: str
    orientation: int
    """0 everyone, 1 registered, 2 premium."""
    coefficient: str
    """Credits a minute, as a decimal number."""
    is_active: bool
    upload: str
    """``single_upload``, ``no_upload`` or ``matchering_upload``."""
    outputs: dict[str, str]
    """Titles by key of what can come back."""
    output_stems: tuple[str, ...]
    fields: tuple[OptionField, ...]
    rating: float | None
    summary: str

    @property
    def takes_song(self) -> bool:
        """Whether it works on one song: not on none (text to speech), nor on two (matchering)."""
        return self.upload == _UPLOAD

    @property
    def takes_two(self) -> bool:
        """Whether it works on a song and on another that it shall sound like."""
        return self.upload == _TWO_UPLOADS

    @property
    def short_name(self) -> str:
        """The name without the list of stems behind it."""
        return re.sub(r"\s*\(.*", "", self.name).strip() or self.name


def read_algorithms(document: object) -> tuple[Algorithm, ...]:
    """Return every algorithm of the service's answer or of the snapshot; what has no id is left out."""
    if isinstance(document, Mapping):
        document = document.get("models") or document.get("data")
    return tuple(_read_algorithm(item) for item in _items(document) if as_count(item.get("render_id")) is not None)


def _read_algorithm(item: Mapping[str, Any]) -> Algorithm:
    group = as_mapping(item.get("algorithm_group")).get("name", item.get("group"))
    number = str(as_count(item["render_id"]))
    return Algorithm(
        id=number,
        name=_line(item.get("name")) or number,
        group=_line(group),
        orientation=as_count(item.get("orientation")) or 0,
        coefficient=_decimal(item.get("price_coefficient")),
        is_active=as_flag(item.get("is_active")) is not False,
        upload=_NO_UPLOAD if as_flag(item.get("audio_upload_disabled")) else _line(item.get("audio_widget")) or _UPLOAD,
        outputs={key: _line(text) for key, text in as_texts(item.get("outputs")).items()},
        output_stems=tuple(map(_line, as_list(item.get("output_stems")))),
        fields=tuple(_read_field(one) for one in _items(_first(item, "algorithm_fields", "fields")) if one.get("name")),
        rating=_read_rating(item.get("rating")),
        summary=_summary(item),
    )


def _read_field(item: Mapping[str, Any]) -> OptionField:
    default = _first(item, "default_key", "default")
    rules = [one for one in _items(item.get("price_rules")) if "option_key" in one]
    return OptionField(
        id=as_count(item.get("id")),
        name=_line(item["name"]),
        text=_line(item.get("text")) or _line(item["name"]),
        server_key=_line(item.get("server_key")),
        kind=_line(_first(item, "input_type", "input")) or "select",
        options={key: _line(text) for key, text in as_texts(item.get("options")).items()},
        default=None if default is None or default == "" else str(default),
        is_required=bool(as_flag(item.get("required"))),
        price_rules=tuple(
            PriceRule(option=str(one["option_key"]), mode=_line(one.get("mode")), value=_decimal(one.get("value")))
            for one in rules
        ),
        conditions=tuple(_read_condition(one) for one in _items(item.get("conditions"))),
    )


def _read_condition(item: Mapping[str, Any]) -> Condition:
    values = item.get("value_json")
    return Condition(
        field_id=as_count(item.get("depends_on_field_id")),
        operator=_line(item.get("operator")).lower(),
        values=tuple(map(_line, as_list(values) or ([] if values is None else [values]))),
        action=_line(item.get("action")).lower(),
    )


def _read_rating(value: object) -> float | None:
    rating = as_mapping(value)
    return (as_number(rating.get("average")) or None) if as_count(rating.get("total")) != 0 else None


def _summary(item: Mapping[str, Any]) -> str:
    every: Sequence[Mapping[str, Any]] = _items(item.get("algorithm_descriptions"))
    english = [one for one in every if one.get("lang") == "en"] or every
    text = _line(english[0].get("short_description") if english else item.get("description"))
    # The service describes in HTML.
    text = _line(html.unescape(re.sub(r"<[^>]*>", " ", text)))
    return text if len(text) <= SUMMARY_LENGTH else text[: SUMMARY_LENGTH - 1].rstrip() + "…"


def _items(value: object) -> list[Mapping[str, Any]]:
    return [one for one in as_list(value) if isinstance(one, Mapping)]


def _first(item: Mapping[str, Any], *keys: str) -> Any:
    return next((item[key] for key in keys if key in item), None)


def _line(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _decimal(value: object) -> str:
    """Return a plain positive decimal number as text; 1 where there is none."""
    text = _line(value)
    return text if re.fullmatch(r"\d{1,6}(\.\d{1,8})?", text) else "1"


SNAPSHOT: Final = "providers/mvsep_algorithms.json"
DAY: Final = 86_400.0
PATIENCE: Final = 15.0
"""Seconds a list is waited for: an older one is better than none."""

RETRY_AFTER: Final = 60.0
"""Seconds in which a service that did not answer is not asked again."""

Fetch = Callable[[], Awaitable[object]]
"""Ask the service for the algorithms of all scopes, as its JSON."""

_log = logging.getLogger(__name__)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Algorithms, and how old they are."""

    algorithms: tuple[Algorithm, ...]
    fetched: float
    base_url: str
    note: str = ""
    """What the user should know: the list is not the service's present one."""


# Made once and here: threads that have msgspec work out the same type at the same moment crash the process.
_LISTING: Final = msgspec.json.Decoder(Listing)


class Catalogue:
    """The algorithms of one service.

    Args:
        fetch: asks the service; None asks nobody.
        home: stembridge's home; the list is kept in ``cache/`` there.
        base_url: of the service; the list of another is not taken.
        max_age: seconds a list is believed.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        fetch: Fetch | None,
        home: Path,
        *,
        base_url: str,
        max_age: float = DAY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._path = home / "cache" / "mvsep-algorithms.json"
        self._base_url = base_url
        self._max_age = max_age
        self._clock = clock
        self._held: Listing | None = None
        self._retry_at = 0.0

    async def listing(self) -> Listing:
        """Return the list: kept if it is young, else asked for, else old, else the snapshot."""
        if self._held is None:
            self._held = await asyncio.to_thread(self._read)
        if self._held is not None and self._is_young(self._held):
            return self._held
        if self._fetch is not None and self._clock() >= self._retry_at:
            try:
                async with asyncio.timeout(PATIENCE):
                    return await self._ask(self._fetch)
            except (StembridgeError, TimeoutError) as error:
                self._retry_at = self._clock() + RETRY_AFTER
                _log.info("the list of models is not renewed: %s", error or "no answer in time")
        if self._held is None:
            self._held = await asyncio.to_thread(read_snapshot, manifest(SNAPSHOT), self._base_url)
        return self._old(self._held)

    async def _ask(self, fetch: Fetch) -> Listing:
        algorithms = read_algorithms(await fetch())
        if not algorithms:
            raise StembridgeError("the service's list of models is empty")
        held = Listing(algorithms=algorithms, fetched=self._clock(), base_url=self._base_url)
        self._held = held
        try:
            await asyncio.to_thread(self._write, held)
        except OSError as error:
            _log.warning("the list of models is not kept in %s: %s", self._path.parent, error.strerror)
        return held

    def _is_young(self, listing: Listing) -> bool:
        # A list from the future is one of a clock that was wrong.
        return not listing.note and 0 <= self._clock() - listing.fetched < self._max_age

    def _old(self, listing: Listing) -> Listing:
        if listing.note:
            return listing
        day = time.strftime("%Y-%m-%d", time.localtime(listing.fetched))
        return msgspec.structs.replace(
            listing, note=f"MVSEP's list of models is of {day}: it was not asked, or does not answer now"
        )

    def _read(self) -> Listing | None:
        try:
            kept = _LISTING.decode(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            _log.info("the kept list of models is unreadable: %s", error)
            return None
        return kept if kept.base_url == self._base_url and kept.algorithms else None

    def _write(self, listing: Listing) -> None:
        replace_file(self._path, msgspec.json.encode(listing))


def read_snapshot(path: Path, base_url: str) -> Listing:
    """Read the list that is shipped, with a note saying of when it is."""
    document = json.loads(path.read_bytes())
    dated = re.search(r"\d{4}-\d{2}(-\d{2})?", str(document.get("source", "")))
    note = f"MVSEP's list of models is the one shipped, of {dated[0] if dated else 'unknown date'}"
    return Listing(algorithms=read_algorithms(document), fetched=0.0, base_url=base_url, note=note)
