"""One algorithm of the service as its catalogue describes it, read from every form that has been seen.

``options``, ``outputs`` and ``output_stems`` come as JSON inside JSON, as objects, lists or null; the shipped snapshot
has them decoded, and shorter names for some keys.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

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
    """One algorithm."""

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
