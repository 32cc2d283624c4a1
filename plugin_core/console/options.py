"""Options that several commands share, and the operations that they, a preset and the settings mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
import msgspec

from plugin_core.audio.formats import FORMAT_NAMES
from plugin_core.console.formatting import show
from plugin_core.model import OnOverload, Operation, Separation
from plugin_core.presets import Preset
from plugin_core.settings import expand_user
from plugin_core.wishes import SeparateSettings

F = TypeVar("F", bound=Callable[..., Any])

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line.")


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What the options of ``separate`` and ``run`` say; None means not said."""

    provider: str | None = None
    model: str | None = None
    options: dict[str, str] | None = None
    stems: tuple[str, ...] | None = None
    minus: tuple[str, ...] | None = None
    residual: bool | None = None
    format: str | None = None
    on_overload: OnOverload | None = None
    as_is: bool | None = None
    to: Path | None = None
    force: bool = False
    dry_run: bool = False
    recursive: bool = False
    yes: bool = False


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


def expand_folder(ctx: click.Context, param: click.Parameter, name: str) -> Path:
    """Return an absolute path with ``~`` filled in."""
    try:
        return expand_user(name).absolute()
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


ON_OVERLOAD_OPTION = click.option(
    "--on-overload",
    type=click.Choice(get_args(OnOverload)),
    help="If the format cannot hold the song's peaks: refuse (default), scale all stems, or write float.",
)

AS_IS_OPTION = click.option(
    "--as-is/--no-as-is",
    default=None,
    help="Place what comes back as it came: not held against the song, nothing moved or converted.",
)

_SEPARATION_OPTIONS = (
    click.option(
        "--provider", metavar="NAME", callback=read_name, help="Who separates: a service, or local (default)."
    ),
    click.option("--model", metavar="ID", callback=read_name, help="One of: stembridge models."),
    click.option(
        "--option", "options", metavar="K=V", multiple=True, callback=read_pairs, help="An option of the model; repeat."
    ),
    click.option(
        "--stems", metavar="A,B", callback=read_stems, help="Stems to keep, instrumental among them; default all."
    ),
    click.option(
        "--minus",
        metavar="A,B",
        callback=read_stems,
        help="The song without each of these; with --stems, beside those.",
    ),
    click.option("--residual/--no-residual", default=None, help="Also what all stems together leave over."),
    click.option("--format", metavar="NAME", callback=read_name, help=f"{', '.join(FORMAT_NAMES)}; default lossless."),
    ON_OVERLOAD_OPTION,
    AS_IS_OPTION,
    click.option(
        "--to",
        metavar="DIR",
        callback=read_folder,
        help="Place results below DIR, a folder that is there, not beside the song.",
    ),
)
_RUN_OPTIONS = (
    click.option("-r", "--recursive", is_flag=True, help="Take every song in the folders named."),
    click.option("--force", is_flag=True, help="Separate anew even if the stems exist."),
    click.option("-n", "--dry-run", is_flag=True, help="Say what would be made, and stop."),
    click.option("-y", "--yes", is_flag=True, help="Do not ask before paying."),
    JSON_OPTION,
)


def separation_options(function: F) -> F:
    """Add the options that say how to separate, and how to run."""
    for option in reversed((*_SEPARATION_OPTIONS, *_RUN_OPTIONS)):
        function = option(function)
    return function


def files_argument(function: F) -> F:
    """Add the argument FILE...; what it means is ``sources.find_sources``' to say."""
    return click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.UNPROCESSED)(function)


_WORDS = ("model", "options", "stems", "minus", "residual", "format", "on_overload", "as_is", "to")


def choose_operations(choices: Choices, preset: Preset | None, settings: SeparateSettings) -> tuple[Operation, ...]:
    """Return what to do to each source, in order."""
    if preset is None:
        return (_override(_default_operation(choices, settings), choices),)
    return tuple(
        _override(operation, choices) if isinstance(operation, Separation) else operation
        for operation in preset.operations
    )


def _default_operation(choices: Choices, settings: SeparateSettings) -> Separation:
    if choices.provider not in (None, settings.provider):
        # A model's name means nothing to another provider; a format does.
        return msgspec.structs.replace(settings.as_operation(), provider=str(choices.provider), model="")
    return settings.as_operation()


def _override(operation: Separation, choices: Choices) -> Separation:
    said: dict[str, Any] = {word: getattr(choices, word) for word in _WORDS if getattr(choices, word) is not None}
    if "options" in said:
        said["options"] = operation.options | said["options"]
    if choices.provider is not None and choices.provider != operation.provider:
        said = {"model": "", "options": choices.options or {}, **said, "provider": choices.provider}
        said["options"] = choices.options or {}
    elif choices.model is not None and choices.model != operation.model:
        said["options"] = choices.options or {}
    return msgspec.structs.replace(operation, **said)
