"""As much of JSON Schema as the documents of REAPER's scripts use; a word it does not know is an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from plugin_core.manifests import manifest

KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
NOTES = {"$schema", "$defs", "title", "description"}


def list_faults(name: str, document: object) -> list[str]:
    """Return where a document is not as its schema says; what that does not name is a fault, too.

    Args:
        name: ``request`` or ``status``.
        document: read from JSON.
    """
    schema = json.loads(manifest(f"hosts/reaper/{name}.schema.json").read_text(encoding="utf-8"))
    return list(_Checker(schema).check(schema, document, name))


def list_event_faults(path: str, kind: str, event: object) -> list[str]:
    """Return where an event is not as the definition of its kind in a schema says."""
    schema = json.loads(manifest(path).read_text(encoding="utf-8"))
    return list(_Checker(schema).check({"$ref": f"#/$defs/{kind}"}, event, kind))


class _Checker:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root

    def check(self, schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
        """Yield what is wrong with a value."""
        for word, wanted in schema.items():
            if word not in NOTES:
                yield from getattr(self, f"_check_{word.removeprefix('$')}")(wanted, value, where)
        if isinstance(value, dict) and "properties" in schema:
            yield from (f"{where}: {name} is not named" for name in value.keys() - schema["properties"].keys())

    def _check_ref(self, wanted: str, value: Any, where: str) -> Iterator[str]:
        yield from self.check(self._root["$defs"][wanted.removeprefix("#/$defs/")], value, where)

    def _check_type(self, wanted: str | list[str], value: Any, where: str) -> Iterator[str]:
        kinds = [wanted] if isinstance(wanted, str) else wanted
        # To Python, True is an integer.
        if not any(isinstance(value, KINDS[kind]) and isinstance(value, bool) is (kind == "boolean") for kind in kinds):
            yield f"{where}: {value!r} is no {' or '.join(kinds)}"

    def _check_const(self, wanted: Any, value: Any, where: str) -> Iterator[str]:
        yield from self._check_enum([wanted], value, where)

    def _check_enum(self, wanted: list[Any], value: Any, where: str) -> Iterator[str]:
        if value not in wanted:
            yield f"{where}: {value!r} is none of {wanted}"

    def _check_minimum(self, wanted: float, value: float, where: str) -> Iterator[str]:
        if value < wanted:
            yield f"{where}: {value} is below {wanted}"

    def _check_maximum(self, wanted: float, value: float, where: str) -> Iterator[str]:
        if value > wanted:
            yield f"{where}: {value} is above {wanted}"

    def _check_required(self, wanted: list[str], value: dict[str, Any], where: str) -> Iterator[str]:
        yield from (f"{where}: {name} is missing" for name in wanted if name not in value)

    def _check_properties(self, wanted: dict[str, Any], value: dict[str, Any], where: str) -> Iterator[str]:
        for name in wanted.keys() & value.keys():
            yield from self.check(wanted[name], value[name], f"{where}.{name}")

    def _check_additionalProperties(self, wanted: Any, value: dict[str, Any], where: str) -> Iterator[str]:  # noqa: N802
        # Where there may be no others, those that are named not are told of already.
        for name in value if wanted is not False else ():
            yield from self.check(wanted, value[name], f"{where}.{name}")

    def _check_items(self, wanted: dict[str, Any], value: list[Any], where: str) -> Iterator[str]:
        for number, each in enumerate(value):
            yield from self.check(wanted, each, f"{where}[{number}]")

    def _check_prefixItems(self, wanted: list[dict[str, Any]], value: list[Any], where: str) -> Iterator[str]:  # noqa: N802
        for number, (schema, each) in enumerate(zip(wanted, value, strict=False)):
            yield from self.check(schema, each, f"{where}[{number}]")

    def _check_minItems(self, wanted: int, value: list[Any], where: str) -> Iterator[str]:  # noqa: N802
        if len(value) < wanted:
            yield f"{where}: fewer than {wanted}"

    def _check_maxItems(self, wanted: int, value: list[Any], where: str) -> Iterator[str]:  # noqa: N802
        if len(value) > wanted:
            yield f"{where}: more than {wanted}"

    def _check_oneOf(self, wanted: list[dict[str, Any]], value: Any, where: str) -> Iterator[str]:  # noqa: N802
        faults = [_first(self.check(schema, value, where)) for schema in wanted]
        if faults.count(None) != 1:
            yield f"{where}: fits {faults.count(None)} of {len(faults)}: {faults}"


def _first(faults: Iterator[str]) -> str | None:
    try:
        return next(faults, None)
    except (AttributeError, TypeError) as error:
        # Words for lists, of something else: its kind is wrong, whatever the order of the words.
        return repr(error)
