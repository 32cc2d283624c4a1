"""The five places where the service writes what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from plugin_core.providers.mvsep.answers.drift import as_mapping, as_text
from plugin_core.transfer.redaction import redact

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
