"""Reading JSON whose types drift: numbers as text, booleans as numbers, lists as null, objects as JSON in a string.

``read`` fills a struct field by field; a value that cannot be what its field says becomes the field's default, keys
nobody declared are ignored. Nothing in here raises for anything a service can send.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import msgspec

from plugin_core.settings import Secret
from plugin_core.transfer.redaction import redact

S = TypeVar("S", bound=msgspec.Struct)

LARGEST_COUNT = 2**53
"""Beyond it JSON numbers are not exact."""

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off", ""})


def read(kind: type[S], data: object) -> S:
    """Fill a struct, all of whose fields have defaults, from a JSON value of any shape."""
    source = as_mapping(data)
    values: dict[str, Any] = {}
    for field in _fields_of(kind):
        value = _coerce(field.type, source.get(field.encode_name))
        if value is not None:
            values[field.name] = value
    return kind(**values)


@cache
def _fields_of(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Return a struct's fields; working out their types takes longer than reading an answer."""
    return msgspec.structs.fields(kind)


def read_all(kind: type[S], data: object) -> tuple[S, ...]:
    """Read a list of structs; what is no object in it is left out."""
    return tuple(read(kind, item) for item in as_list(data) if isinstance(item, Mapping))


def as_mapping(value: object) -> dict[str, Any]:
    """Return an object, also from JSON text or a list (its positions become keys); {} for anything else."""
    value = _unwrap(value)
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, list):
        return {str(position): item for position, item in enumerate(value)}
    return {}


def as_list(value: object) -> list[Any]:
    """Return a list, also from JSON text or an object's values; [] for anything else."""
    value = _unwrap(value)
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def as_text(value: object) -> str:
    """Return text, also of a number; "" for anything else."""
    if isinstance(value, bool):
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else ""


def as_number(value: object) -> float | None:
    """Return a finite number, also from text; None for anything else."""
    if not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_count(value: object) -> int | None:
    """Return a whole number, also from text; None for anything else, and for more than any count can be."""
    number = value if isinstance(value, int) else as_number(value)
    return None if number is None or abs(number) > LARGEST_COUNT else int(number)


def as_flag(value: object) -> bool | None:
    """Return yes or no from a boolean, a number or a word; None for anything else."""
    if isinstance(value, bool | int | float):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _YES else False if word in _NO else None
    return None


def as_texts(value: object) -> dict[str, str]:
    """Return an object of texts, in the order sent; null values are left out."""
    return {key: as_text(item) for key, item in as_mapping(value).items() if item is not None}


def _unwrap(value: object) -> object:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _coerce(kind: Any, value: object) -> Any:
    """Turn a JSON value into what a field holds; None when it cannot be."""
    if value is None:
        return None
    kind, origin, inner = _take_apart(kind)
    if origin is tuple:
        return _coerce_items(inner[0], value)
    if origin is dict:
        return as_texts(value) if inner[1] is str else as_mapping(value)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return read(kind, value) if isinstance(_unwrap(value), Mapping) else None
    return _coerce_plain(kind, value)


@cache
def _take_apart(kind: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    """Return what a field holds where it holds anything, of which kind that is, and of what."""
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    return kind, get_origin(kind), get_args(kind)


def _coerce_items(kind: Any, value: object) -> tuple[Any, ...]:
    items: Sequence[Any] = [_coerce(kind, item) for item in as_list(value)]
    return tuple(item for item in items if item is not None)


def _coerce_plain(kind: Any, value: object) -> Any:
    if kind is Secret:
        return Secret(as_text(value))
    if kind is str:
        return as_text(value)
    if kind is bool:
        return as_flag(value)
    if kind is int:
        return as_count(value)
    return as_number(value) if kind is float else value


DEEPEST: Final = 8
"""Levels of lists and objects that are looked into; what lies deeper is no message."""


def read_words(payload: object) -> tuple[str, ...]:
    """Return every message in a body, verbatim but for secrets that it repeats, in the order found and none twice.

    Knows ``errors`` (list, object of lists, text), ``data.message``, ``message`` (text or object of lists),
    ``error`` and ``msg``.
    """
    body = as_mapping(payload)
    data = body.get("data")
    places = [body.get("errors"), as_mapping(data).get("message"), body.get("message"), body.get("error")]
    places.append(as_mapping(data).get("errors"))
    if isinstance(data, str):
        places.append(data)
    found = [text for place in places for text in _flatten(place)]
    return tuple(dict.fromkeys(found))


def _flatten(value: object, depth: int = 0) -> list[str]:
    if isinstance(value, Mapping | list):
        items = value.values() if isinstance(value, Mapping) else value
        return [text for item in items for text in _flatten(item, depth + 1)] if depth < DEEPEST else []
    text = redact(as_text(value).strip())
    return [text] if text and not isinstance(value, bool) else []
