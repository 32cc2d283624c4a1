"""Where a stem goes, written as a path template.

Fields: ``name`` (the source's file name without its ending), ``stem`` (the stem's title), ``ext`` (the format's
ending), ``provider``, ``model``, and from the source's tags ``artist``, ``title``, ``album``.
Folders are parted by ``/``.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Final

import msgspec

from plugin_core.errors import SettingsError, UsageError
from plugin_core.files.names import MAX_BYTES, NUMBER_BYTES, clean_component, count_bytes, shorten
from plugin_core.wishes import StemsKeys

FIELDS: Final = ("name", "stem", "ext", "provider", "model", "artist", "title", "album")
_TAG_FIELDS: Final = frozenset({"artist", "title", "album"})
_KEPT_WHOLE: Final = frozenset({"stem", "ext"})


Piece = tuple[str, str]
"""Literal text, and the field that follows it or nothing."""


class Template(msgspec.Struct, frozen=True):
    """A checked path template."""

    components: tuple[tuple[Piece, ...], ...]
    """One entry for each folder, the last for the file."""

    @property
    def fields(self) -> frozenset[str]:
        """The fields in use."""
        return frozenset(field for component in self.components for _, field in component if field)

    @property
    def needs_tags(self) -> bool:
        """Whether the source's tags must be read."""
        return not self.fields.isdisjoint(_TAG_FIELDS)

    @property
    def depth(self) -> int:
        """How many components the source's own folder takes; 0 when its stems share a folder with others."""
        for number, component in enumerate(self.components[:-1], 1):
            used = {field for _, field in component}
            if used & _KEPT_WHOLE:
                return 0
            if "name" in used:
                return number
        return 0

    def render(self, values: Mapping[str, str]) -> PurePath:
        """Return the relative path of one stem, each component clean and short enough to be numbered.

        Raises:
            UsageError: the template's own text is longer than a file name may be.
        """
        return PurePath(*(_render_component(component, values) for component in self.components))


def choose_template(wished: str, settings: StemsKeys) -> Template:
    """Return the template of a wish, or that of the settings where it names none.

    Raises:
        UsageError: it is wrong; SettingsError where it is a setting.
    """
    return parse_template(wished or settings.template, is_setting=not wished)


def parse_template(text: str, *, is_setting: bool = False) -> Template:
    """Check a template.

    Args:
        text: the template.
        is_setting: whether it comes from the settings, and not from an option of the command.

    Raises:
        UsageError: an unknown field, no ``{stem}``, no ``.{ext}`` at the end, or a path that leaves the destination;
            SettingsError where it is a setting.
    """
    kind = SettingsError if is_setting else UsageError
    try:
        template = Template(tuple(_parse_component(part) for part in text.split("/")))
    except ValueError as error:
        raise kind(f"template {text!r}: {error}", remedy="write a field as {name}, a brace as {{ or }}") from error
    unknown = sorted(template.fields - set(FIELDS))
    if unknown:
        raise kind(f"template {text!r}: unknown field {unknown[0]!r}", remedy=f"known fields are {', '.join(FIELDS)}")
    if "stem" not in template.fields or not text.endswith(".{ext}"):
        raise kind(f"template {text!r} would give stems one name", remedy="it needs {stem} and ends with .{ext}")
    for component in template.components:
        literal = "".join(before for before, _ in component)
        if not any(field for _, field in component) and literal.strip(". ") == "":
            raise kind(f"template {text!r} leaves the destination or has an empty folder", remedy="use plain folders")
    return template


def template_values(source: Path, *, title: str, suffix: str, provider: str, model: str) -> dict[str, str]:
    """Return the values of every field that needs no tags; ``suffix`` with its dot."""
    return {"name": source.stem, "stem": title, "ext": suffix.lstrip("."), "provider": provider, "model": model}


def _parse_component(text: str) -> tuple[Piece, ...]:
    pieces = []
    for literal, field, spec, conversion in string.Formatter().parse(text):
        if spec or conversion or field == "":
            raise ValueError("a field is a plain name")
        pieces.append((literal, field or ""))
    return tuple(pieces)


def _render_component(component: tuple[Piece, ...], values: Mapping[str, str]) -> str:
    limit = MAX_BYTES - NUMBER_BYTES
    known = dict(values)
    for field in sorted({field for _, field in component if field} - _KEPT_WHOLE, key=lambda one: -len(known[one])):
        excess = count_bytes(_fill(component, known)) - limit
        if excess <= 0:
            break
        known[field] = _reduce(component, known, field, excess)
    text = _fill(component, known)
    if count_bytes(text) > limit:
        raise UsageError(f"the template makes a file name of {count_bytes(text)} bytes", remedy="shorten the template")
    return text


def _reduce(component: tuple[Piece, ...], values: Mapping[str, str], field: str, excess: int) -> str:
    times = sum(one == field for _, one in component)
    return shorten(values[field], max(9, count_bytes(values[field]) - -(-excess // times)))


def _fill(component: tuple[Piece, ...], values: Mapping[str, str]) -> str:
    return clean_component("".join(literal + (values[field] if field else "") for literal, field in component))
