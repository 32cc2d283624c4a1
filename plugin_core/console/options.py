"""Options that several commands share, and the operations that they, a preset and the settings mean.

Those that say how to separate or label are made of the declarations in ``plugin_core.wishes``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import click
import msgspec

from plugin_core.audio.formats import FORMAT_NAMES
from plugin_core.console.phrases import show
from plugin_core.model import Operation, Separation, Tagging
from plugin_core.settings import expand_user, words_of
from plugin_core.tags.labels import check_rules
from plugin_core.wishes import Said, said_of

if TYPE_CHECKING:
    from plugin_core.presets import Preset

F = TypeVar("F", bound=Callable[..., Any])
Words = Mapping[str, Any]
"""What options say of a wish, by its field; what is not said is missing."""

Given = tuple[str | None, dict[str, str]] | None
"""A word for all dimensions, and words for single ones."""

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line.")
_SECTIONS: Mapping[type[msgspec.Struct], str] = {Separation: "separate", Tagging: "tags"}


class RunChoices(msgspec.Struct, frozen=True, kw_only=True):
    """What the options of a run say beside the wish."""

    force: bool = False
    dry_run: bool = False
    recursive: bool = False
    yes: bool = False
    output: Path | None = None
    """A folder for results that is made when there are some."""


def wish_options(kind: type[msgspec.Struct], *only: str) -> Callable[[F], F]:
    """Add the options that say a wish; a field that nothing is said of is handed on as None.

    Args:
        kind: the wish.
        only: the fields; default all that have an option, with the settings that stand for them.
    """
    hints = get_type_hints(kind)
    made = [
        _make_option(name, hints[name], said, "" if only else _SECTIONS[kind])
        for name, said in said_of(kind).items()
        if said.help and (not only or name in only)
    ]

    def add(function: F) -> F:
        for option in reversed(made):
            function = option(function)
        return function

    return add


def split_options(kind: type[msgspec.Struct], options: Words) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what options say of a wish, and the rest of them."""
    said = {name: options[name] for name in said_of(kind) if options.get(name) is not None}
    return said, {name: value for name, value in options.items() if name not in said_of(kind)}


def _make_option(name: str, hint: Any, said: Said, section: str) -> Callable[[F], F]:
    flag = f"--{(said.option or name).replace('_', '-')}"
    place = f" Setting: [{said.section or section}] {name}." if section and said.setting is not None else ""
    text = said.help.format(formats=", ".join(FORMAT_NAMES)) + place
    bare = _bare(said.setting or hint)
    if bare is bool:
        return click.option(f"{flag}/--no-{flag.removeprefix('--')}", name, default=None, help=text)
    return click.option(flag, name, metavar=said.metavar or None, help=text, **_choose_reader(bare, said))


def _choose_reader(kind: Any, said: Said) -> dict[str, Any]:
    """Return how the words of an option of this type are read."""
    if said.by_dimension:
        return {"callback": read_numbers if kind is float else read_rule}
    if get_origin(kind) is Literal:
        return {"type": click.Choice(get_args(kind), case_sensitive=False)}
    if get_origin(kind) is dict:
        return {"multiple": True, "callback": read_pairs}
    if get_origin(kind) is tuple:
        # Names that are not those of a few words are names of stems.
        return {"callback": read_stems if get_args(kind)[0] is str else _words_reader(get_args(kind)[0])}
    return {"callback": read_folder if kind is Path else read_name}


def _bare(kind: Any) -> Any:
    """Return a type without bounds, and without the None of what may be missing."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    rest = [part for part in get_args(kind) if part is not type(None)]
    return rest[0] if type(None) in get_args(kind) and len(rest) == 1 else kind


def read_pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str] | None:
    """Turn K=V texts into a mapping."""
    for value in values:
        if not value.partition("=")[0].strip() or "=" not in value:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE", ctx, param)
    pairs = (value.partition("=") for value in values)
    return {key.strip(): value.strip() for key, _, value in pairs} or None


def read_stems(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Turn "Vocals, drums" into canonical names."""
    from plugin_core.stem_names import canonical

    if value is None:
        return None
    names = tuple(canonical(word) for word in value.split(",") if word.strip())
    if not names:
        raise click.BadParameter("name at least one stem", ctx, param)
    return tuple(dict.fromkeys(names))


def read_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse a name that is none: an empty variable of a script must not choose for the user."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; name one, or leave the option out", ctx, param)
    return value if value is None else value.strip()


def read_folder(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """Turn a folder's name into an absolute path; one that is missing may be a disk that is not mounted."""
    name = read_name(ctx, param, value)
    if name is None:
        return None
    path = expand_folder(ctx, param, name)
    if not path.exists():
        raise click.BadParameter(f"{show(path)} does not exist; make the folder first, or mount its disk", ctx, param)
    if not path.is_dir():
        raise click.BadParameter(f"{show(path)} is no folder", ctx, param)
    return path


def read_new_folder(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """Turn a folder's name into an absolute path; the folder may be missing."""
    name = read_name(ctx, param, value)
    path = None if name is None else expand_folder(ctx, param, name)
    if path is not None and path.exists() and not path.is_dir():
        raise click.BadParameter(f"{show(path)} is no folder", ctx, param)
    return path


def expand_folder(ctx: click.Context, param: click.Parameter, name: str) -> Path:
    """Return an absolute path with ``~`` filled in."""
    try:
        return expand_user(name).absolute()
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _words_reader(known: Any) -> Callable[[click.Context, click.Parameter, str | None], tuple[str, ...] | None]:
    """Return what turns "mood, genre" into words, and "all" into none."""

    def read_words(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        words = tuple(dict.fromkeys(word.strip().lower() for word in value.split(",") if word.strip()))
        if not words:
            raise click.BadParameter(f"name at least one of {', '.join(words_of(known))}", ctx, param)
        if "all" in words and len(words) > 1:
            raise click.BadParameter("'all' stands alone", ctx, param)
        return () if words == ("all",) else words

    return read_words


def read_rule(ctx: click.Context, param: click.Parameter, value: str | None) -> Given:
    """Turn "fill, genre=append" into a word for all dimensions and words for single ones."""
    if value is None:
        return None
    usual: str | None = None
    single: dict[str, str] = {}
    parts = [part.strip().lower() for part in value.split(",") if part.strip()]
    if not parts:
        raise click.BadParameter(f"{value!r} says nothing", ctx, param)
    for part in parts:
        name, is_single, word = (text.strip() for text in part.partition("="))
        if name in single:
            raise click.BadParameter(f"{name} is named twice", ctx, param)
        if is_single:
            single[name] = word
        elif usual is None:
            usual = part
        else:
            raise click.BadParameter(f"{part!r} names no dimension, as in genre={part}", ctx, param)
    return usual, single


def read_numbers(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[float | None, dict[str, float]] | None:
    """Turn "0.5, mood=0.3" into a number for all dimensions and numbers for single ones."""
    rule = read_rule(ctx, param, value)
    if rule is None:
        return None
    usual, single = rule
    try:
        return None if usual is None else _number(usual), {name: _number(word) for name, word in single.items()}
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a number such as 0.5, or 0.5,mood=0.3", ctx, param) from error


def _number(word: str) -> float:
    """Return a number as people write it; Python's own grammar takes 1_0 for 10."""
    if "_" in word:
        raise ValueError(word)
    return float(word)


OUTPUT_OPTION = click.option(
    *("-o", "--output", "output"),
    metavar="DIR",
    callback=lambda ctx, param, value: read_new_folder(ctx, param, value),
    help="The same as --to, but DIR is made when it is missing.",
)
_RUN_OPTIONS = (
    OUTPUT_OPTION,
    click.option("-r", "--recursive", is_flag=True, help="Take every song in the folders named."),
    click.option("--force", is_flag=True, help="Separate anew even if the stems exist."),
    click.option("-n", "--dry-run", is_flag=True, help="Say what would be made, and stop."),
    click.option("-y", "--yes", is_flag=True, help="Do not ask before paying."),
    JSON_OPTION,
)


def separation_options(function: F) -> F:
    """Add the options that say how to separate, and how to run."""
    for option in reversed(_RUN_OPTIONS):
        function = option(function)
    return wish_options(Separation)(function)


def choose_operations(said: Words, preset: Preset | None, usual: Separation) -> tuple[Operation, ...]:
    """Return what to do to each source, in order.

    Args:
        said: what options say of a separation; wins over the preset's word.
        preset: what is started from, if any.
        usual: what the settings say, where there is no preset.
    """
    operations = (usual,) if preset is None else preset.operations
    return tuple(_override(one, said) if isinstance(one, Separation) else one for one in operations)


def _override(operation: Separation, said: Words) -> Separation:
    if said.get("provider") not in (None, operation.provider):
        # A model's name means nothing to another provider; a format does.
        said = {"model": "", "options": {}, **said}
    elif said.get("model") not in (None, operation.model):
        said = {"options": {}, **said}
    elif "options" in said:
        said = {**said, "options": operation.options | said["options"]}
    return msgspec.structs.replace(operation, **said)


def choose_tagging(said: Words, usual: Tagging) -> Tagging:
    """Return what is asked for; an option wins over the settings, for all dimensions or for the one it names.

    Raises:
        UsageError: a word or number that means nothing.
    """
    words = dict(said)
    for name, table in ((name, how.by_dimension) for name, how in said_of(Tagging).items() if how.by_dimension):
        value, single = words.pop(name, None) or (None, {})
        if value is not None:
            words |= {name: value, table: {}}
        words[table] = words.get(table, getattr(usual, table)) | single
    wish = msgspec.structs.replace(usual, **words)
    check_rules(wish)
    return wish
