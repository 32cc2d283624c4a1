"""Options: what users write, by label or field name, key or text; and what the service is sent, by field name.

Some options are ours: ``output_format`` (what the service writes), ``is_demo`` (1 publishes the result), ``preset_id``,
``webhook_url``, and the ``reference`` of models that take two songs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from plugin_core.errors import UsageError, suggest
from plugin_core.model import ModelOption
from plugin_core.providers.mvsep.catalogue import Algorithm, Condition, OptionField, PriceRule


class OutputFormat(NamedTuple):
    """One format of the service."""

    key: str
    name: str
    final: str
    """Our format that keeps it as it comes."""
    needs_premium: bool = False


OUTPUT_FORMATS: Final = (
    OutputFormat("0", "mp3", "mp3"),
    OutputFormat("1", "wav16", "wav16"),
    OutputFormat("2", "flac16", "flac16"),
    OutputFormat("3", "m4a", "m4a"),
    OutputFormat("4", "wav32f", "wav32f", needs_premium=True),
    OutputFormat("5", "flac24", "flac24", needs_premium=True),
)
SHALLOW: Final = OUTPUT_FORMATS[2]
OPEN: Final = OUTPUT_FORMATS[4]
DEEP: Final = OUTPUT_FORMATS[5]

OUTPUT_FORMAT: Final = "output_format"
IS_DEMO: Final = "is_demo"
PRESET: Final = "preset_id"
WEBHOOK: Final = "webhook_url"
REFERENCE: Final = "reference"

_REFERENCE_OPTION: Final = ModelOption(
    name=REFERENCE, title="The file that the song shall sound like", is_required=True
)
OUR_OPTIONS: Final = (
    ModelOption(
        name=OUTPUT_FORMAT,
        title="What MVSEP writes",
        choices={one.key: f"{one.name}{', premium' if one.needs_premium else ''}" for one in OUTPUT_FORMATS},
    ),
    ModelOption(
        name=IS_DEMO,
        title="Show the result to everybody at mvsep.com",
        choices={"0": "no", "1": "yes"},
        default="0",
    ),
    ModelOption(name=PRESET, title="A preset stored at mvsep.com"),
    ModelOption(name=WEBHOOK, title="An address that MVSEP calls when the job ends"),
)
OURS: Final = (*(one.name for one in OUR_OPTIONS), REFERENCE)

_IN: Final = ("in", "=", "==", "equals", "eq")


def resolve_options(algorithm: Algorithm, wished: Mapping[str, str]) -> dict[str, str]:
    """Return every field that is sent, by name in the catalogue's order, with its default where none is wished.

    Raises:
        UsageError: an unknown option or value, one that does not apply, or a required one that is missing.
    """
    given: dict[str, str] = {}
    for word, value in wished.items():
        if word in OURS:
            continue
        field = find_field(algorithm, word)
        key = find_value(algorithm, field, value)
        if given.setdefault(field.name, key) != key:
            raise UsageError(f"option {describe_field(field)} is given twice", remedy="give it once")
    values = {field.name: given.get(field.name, _default(field)) for field in algorithm.fields}
    shown = visible_fields(algorithm, values)
    hidden = [field for field in algorithm.fields if field.name in given and field not in shown]
    if hidden:
        raise UsageError(
            f"option {describe_field(hidden[0])} of {algorithm.name} does not apply with the others chosen",
            remedy=f"leave it out, or change {_describe_reasons(algorithm, hidden[0])}",
        )
    return {field.name: _require(algorithm, field, values[field.name]) for field in shown if _is_sent(field, values)}


def default_options(algorithm: Algorithm, resolved: Mapping[str, str]) -> dict[str, str]:
    """Return those of the resolved options that are at the catalogue's default."""
    usual = {field.name: _default(field) for field in algorithm.fields}
    return {name: value for name, value in resolved.items() if usual.get(name) == value}


def visible_fields(algorithm: Algorithm, values: Mapping[str, str]) -> list[OptionField]:
    """Return the fields that are there when these values are chosen; a field that is not has no value for others."""
    by_id: dict[int | None, OptionField] = {field.id: field for field in algorithm.fields if field.id is not None}
    hidden: set[str] = set()
    # Each round can hide what depends on the last one's; a ring of conditions ends with the number of fields.
    for _ in algorithm.fields:
        seen = {name: value for name, value in values.items() if name not in hidden}
        now = {
            field.name
            for field in algorithm.fields
            if not all(_allows(condition, by_id, seen) for condition in field.conditions)
        }
        if now == hidden:
            break
        hidden = now
    return [field for field in algorithm.fields if field.name not in hidden]


def find_field(algorithm: Algorithm, word: str) -> OptionField:
    """Return the field of a name ("add_opt1"), label ("Model Type") or server's key ("model_type").

    Raises:
        UsageError: there is none, or a label means several.
    """
    wanted = _plain(word)
    for spell in _SPELLINGS:
        found = [field for field in algorithm.fields if _plain(spell(field)) == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(field.name for field in found)
            raise UsageError(f"several options of {algorithm.name} are called {word!r}", remedy=f"name one of {names}")
    known = [_plain(name) for field in algorithm.fields for name in (field.text, field.name)] + list(OURS)
    hint = suggest(wanted, known, lead=", ")
    has = ", ".join(describe_field(field) for field in algorithm.fields)
    remedy = (
        f"its options are {has}"
        if has
        else f"it has none of its own, only {', '.join(one.name for one in OUR_OPTIONS)}"
    )
    raise UsageError(f"{algorithm.name} has no option {word!r}{hint}", remedy=remedy)


def find_value(algorithm: Algorithm, field: OptionField, value: str) -> str:
    """Return what is sent for a value: the key of an option, or the text itself in a free field.

    Raises:
        UsageError: no option, or several, have this key, text or beginning of a text.
    """
    if not field.options:
        if not value.strip():
            raise UsageError(f"option {describe_field(field)} is empty", remedy="give it a text, or leave it out")
        return value
    if value.strip() in field.options:
        return value.strip()
    wanted = _plain(value)
    # A number that is no key is an old key rather than a piece of a text.
    for is_meant in _FITS if any(map(str.isalpha, wanted)) else _FITS[:1]:
        found = [key for key, text in field.options.items() if wanted and is_meant(_plain(text), wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{value!r} means several values of option {describe_field(field)}",
                remedy=_choose(algorithm, field, found),
            )
    raise UsageError(
        f"option {describe_field(field)} has no value {value!r}", remedy=_choose(algorithm, field, field.options)
    )


def read_demo(wished: Mapping[str, str]) -> str:
    """Return ``is_demo``: "1" publishes the result on the service's site, "0" unless asked for.

    Raises:
        UsageError: it is neither.
    """
    text = wished.get(IS_DEMO, "0").strip().lower()
    words = {"0": "0", "no": "0", "false": "0", "off": "0", "1": "1", "yes": "1", "true": "1", "on": "1"}
    if text not in words:
        raise UsageError(f"option {IS_DEMO}={text!r} is neither 0 nor 1", remedy="1 publishes the result at MVSEP")
    return words[text]


def describe_field(field: OptionField) -> str:
    """Return both names of a field."""
    return field.name if field.text == field.name else f"'{field.text}' ({field.name})"


def describe_options(algorithm: Algorithm) -> tuple[ModelOption, ...]:
    """Return every option of an algorithm, ours behind its own."""
    own = tuple(
        ModelOption(
            name=field.name,
            title=field.text,
            choices=field.options,
            default=_default(field),
            is_required=field.is_required and not _default(field),
            when="; ".join(_describe_condition(algorithm, one) for one in field.conditions),
            multipliers={rule.option: f"{float(rule.value):g}" for rule in field.price_rules if _is_dearer(rule)},
        )
        for field in algorithm.fields
    )
    return own + ((_REFERENCE_OPTION,) if algorithm.takes_two else ()) + OUR_OPTIONS


def _is_dearer(rule: PriceRule) -> bool:
    return rule.mode == "multiplier" and float(rule.value) != 1


def _describe_condition(algorithm: Algorithm, condition: Condition) -> str:
    parent = next((field for field in algorithm.fields if field.id == condition.field_id), None)
    values = ", ".join(condition.values)
    is_shown = (condition.action == "show") == (condition.operator in _IN)
    return f"{'only' if is_shown else 'not'} where {describe_field(parent) if parent else 'another'} is {values}"


def _default(field: OptionField) -> str:
    if field.default is None or (field.options and field.default not in field.options):
        return ""
    return field.default


def _is_sent(field: OptionField, values: Mapping[str, str]) -> bool:
    return field.is_required or values[field.name] != ""


def _require(algorithm: Algorithm, field: OptionField, value: str) -> str:
    if value:
        return value
    wants = _choose(algorithm, field, field.options) if field.options else f'add --option "{field.text}=..."'
    raise UsageError(f"{algorithm.name} needs option {describe_field(field)}", remedy=wants)


def _allows(condition: Condition, by_id: Mapping[int | None, OptionField], values: Mapping[str, str]) -> bool:
    parent = by_id.get(condition.field_id)
    if parent is None or condition.action not in ("show", "hide"):
        return True
    value = values.get(parent.name)
    match condition.operator:
        case word if word in _IN:
            holds = value in condition.values
        case "not_in" | "not in" | "!=" | "<>" | "neq":
            holds = value not in condition.values
        case _:
            # What is not understood must not keep a field from being sent.
            return True
    return holds == (condition.action == "show")


def _describe_reasons(algorithm: Algorithm, field: OptionField) -> str:
    ids = {condition.field_id for condition in field.conditions}
    return ", ".join(describe_field(one) for one in algorithm.fields if one.id in ids) or "them"


def _choose(algorithm: Algorithm, field: OptionField, keys: Mapping[str, str] | Sequence[str]) -> str:
    shown = [f"{key} ({field.options[key]})" for key in list(keys)[:12]]
    told = f"choose of {', '.join(shown)}"
    rest = len(keys) - len(shown)
    return f"{told} and {rest} more: `stembridge models mvsep {algorithm.id}` shows all" if rest else told


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


_SPELLINGS: Final[tuple[Callable[[OptionField], str], ...]] = (
    lambda field: field.name,
    lambda field: field.text,
    lambda field: field.server_key,
)
_FITS: Final[tuple[Callable[[str, str], bool], ...]] = (
    lambda text, wanted: text == wanted,
    lambda text, wanted: text.startswith(wanted),
    lambda text, wanted: wanted in text,
)
