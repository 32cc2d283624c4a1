"""``stembridge completion``: the words of a line by the Tab key, in bash, zsh and fish."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import click
import msgspec

from plugin_core.abilities import HasAccount, HasLogin
from plugin_core.audio.formats import FORMAT_NAMES
from plugin_core.cli import completion
from plugin_core.cli.completion import FILE, FOLDER, JOB, LIST, MODEL, PRESET, PURCHASE, Kind, Tree
from plugin_core.cli.settings import declared
from plugin_core.console.context import Context
from plugin_core.console.groups import SuggestingGroup, examples, summarise
from plugin_core.errors import StembridgeError, UsageError
from plugin_core.files.disk import explain_write_error
from plugin_core.files.placement import replace_file
from plugin_core.model import Model
from plugin_core.presets import load_presets
from plugin_core.registry import AUTO
from plugin_core.session import Session
from plugin_core.settings import Secret, is_secret_name, words_of
from plugin_core.stem_names import INSTRUMENTAL, sort_stems
from plugin_core.wishes import DIMENSIONS, NO_PROJECT, Policy

log = logging.getLogger(__name__)

_BASH: Final = r"""# Completion of stembridge for bash.
_stembridge() {
    local kind line
    COMPREPLY=()
    {
        IFS= read -r kind
        while IFS= read -r line; do COMPREPLY+=("$line"); done
    } < <("${1/#\~/$HOME}" __complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    case $kind in
        file) compopt -o default -o bashdefault ;;
        folder) compopt -o filenames -o plusdirs ;;
    esac
}
complete -o nosort -F _stembridge stembridge
"""
_ZSH: Final = r"""#compdef stembridge
# Completion of stembridge for zsh.
_stembridge() {
    local command=${~${(Q)words[1]}} line
    local -a answer found
    answer=("${(@f)$("$command" __complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for line in "${(@)answer[2,-1]}"; do
        if [[ $line == *$'\t'* ]]; then
            found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        else
            found+=("${line//:/\\:}")
        fi
    done
    (( $#found )) && _describe -V stembridge found
    [[ $PREFIX == --*=* ]] && compset -P '*='
    case $answer[1] in
        file) _files ;;
        folder) _files -/ ;;
    esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _stembridge "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _stembridge stembridge
fi
"""
_FISH: Final = r"""# Completion of stembridge for fish.
function __stembridge_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l command (string replace -r '^~' $HOME -- $words[1])
    set -l answer ($command __complete fish $words[2..-1] "$typed" 2>/dev/null)
    printf '%s\n' $answer[2..-1]
    set -l lead (string match -r '^--[^=]*=' -- $typed)
    set -l rest (string replace -r '^--[^=]*=' '' -- $typed)
    # What begins with a dash would be taken for an option: fish is asked for ./, which stays where it is needed.
    set -l place (string replace -r '^(?=-|$)' './' -- "$rest")
    set -l put '^(?!)'
    test "$place" != "$rest"; and set put '^\./(?!-)'
    string match -q -- '-*' "$rest"; and set put '^\./'
    switch "$answer[1]"
        case file
            printf '%s\n' "$lead"(__fish_complete_path "$place" | string replace -r "$put" '')
        case folder
            printf '%s\n' "$lead"(__fish_complete_directories "$place" | string replace -r "$put" '')
    end
end
complete -c stembridge -e
complete -c stembridge -f -a '(__stembridge_complete)'
"""
SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_MARK: Final = "# completion of stembridge"
_KINDS: Final[Mapping[str, Kind]] = {
    "files": FILE,
    "files_from": FILE,
    "song": FILE,
    "folders": FOLDER,
    "to": FOLDER,
    "output": FOLDER,
    "model": MODEL,
    "preset": PRESET,
    "remote_id": PURCHASE,
    "format": list(FORMAT_NAMES),
    "dimensions": [LIST, *DIMENSIONS, "all"],
    "policy": [*words_of(Policy)],
}
"""Of parameters, by the name that the same thing has in every command; click's own types say the rest."""
STEMS: Final = [*sort_stems(("vocals", INSTRUMENTAL, "drums", "bass", "guitar", "piano", "other"))]


@examples("stembridge completion --install", "stembridge completion zsh > _stembridge")
@click.command("completion")
@click.argument("shell", required=False, type=click.Choice(list(SCRIPTS)))
@click.option("--install", is_flag=True, help="Put it where the shell finds it, from the next shell on.")
@click.option("--uninstall", is_flag=True, help="Take it away again.")
@click.pass_obj
def command(context: Context, shell: str | None, install: bool, uninstall: bool) -> int:
    """Complete commands, options, files, presets, providers, models and job ids by the Tab key.

    SHELL is bash, zsh or fish; default the one of $SHELL. Without --install its script is printed. Models of a service
    are those that `stembridge models` listed last.
    """
    shell = shell or Path(context.settings.environ.get("SHELL", "")).name
    if shell not in SCRIPTS:
        raise UsageError("this shell is not known", remedy=f"name one of {', '.join(SCRIPTS)}")
    if install and uninstall:
        raise UsageError("--install and --uninstall contradict each other", remedy="leave one of them out")
    if not install and not uninstall:
        click.echo(SCRIPTS[shell], nl=False)
        return 0
    place = Place(shell, context.settings.environ)
    done = list(place.remove() if uninstall else place.write())
    if install:
        with context.session() as session:
            _keep(session, _draw(context, session))
            remember_models(session, asyncio.run(_ask_models(session)))
    if not context.quiet:
        for line in done or ["nothing was installed"]:
            click.echo(line)
    return 0


class Place:
    """Where a shell finds its completion.

    Args:
        shell: bash, zsh or fish.
        environ: the environment.
    """

    def __init__(self, shell: str, environ: Mapping[str, str]) -> None:
        user = Path(environ.get("HOME") or Path.home())
        data = Path(environ.get("XDG_DATA_HOME") or user / ".local" / "share")
        config = Path(environ.get("XDG_CONFIG_HOME") or user / ".config")
        self._shell = shell
        self._path = {
            "bash": data / "bash-completion" / "completions" / "stembridge",
            "zsh": data / "zsh" / "site-functions" / "_stembridge",
            "fish": config / "fish" / "completions" / "stembridge.fish",
        }[shell]
        # Neither is read by itself: bash only where bash-completion is installed, zsh only from folders it is told of.
        self._start_up = {
            "bash": user / ".bashrc",
            "zsh": Path(environ.get("ZDOTDIR") or user) / ".zshrc",
        }.get(shell)

    def write(self) -> Iterator[str]:
        """Put script and start-up line in place, and yield what was done.

        Raises:
            PlacementError: one of them cannot be written.
        """
        with _told(self._path):
            replace_file(self._path, SCRIPTS[self._shell].encode())
        yield f"wrote {self._path}"
        if self._start_up is not None:
            with _told(self._start_up):
                before = _read(self._start_up)
                if _MARK not in before:
                    start = "" if not before or before.endswith("\n") else "\n"
                    with self._start_up.open("a", encoding="utf-8", errors="surrogateescape") as opened:
                        opened.write(f"{start}{self._line()}\n")
                    yield f"added a line to {self._start_up}"
        yield f"it works from the next {self._shell} on"

    def remove(self) -> Iterator[str]:
        """Undo that, and yield what was done.

        Raises:
            PlacementError: one of them cannot be written.
        """
        with _told(self._path):
            if self._path.exists():
                self._path.unlink()
                yield f"removed {self._path}"
        if self._start_up is not None:
            with _told(self._start_up):
                before = _read(self._start_up)
                kept = "".join(line for line in before.splitlines(keepends=True) if _MARK not in line)
                if kept != before:
                    replace_file(self._start_up, kept.encode("utf-8", "surrogateescape"))
                    yield f"took the line out of {self._start_up}"

    def _line(self) -> str:
        path = str(self._path).replace("'", "'\\''")
        return f"[ -r '{path}' ] && . '{path}'  {_MARK}"


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise explain_write_error(path, error) from error


def _read(path: Path) -> str:
    try:
        # As it is: a start-up file may hold a carriage return that its user means.
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def draw_outline(context: Context | None = None) -> Tree:
    """Return the tree of all commands, plugins' among them, and keep it in the home folder where that can be."""
    context = context or Context()
    with context.session() as session:
        return _keep(session, _draw(context, session))


def remember_models(session: Session, models: Mapping[str, Iterable[Model]]) -> None:
    """Keep what providers can split a song into, where there is a tree: the Tab key asks no service."""
    outline = completion.read_outline()
    if outline is None:
        return
    outline["models"] |= _describe_models(models)
    _keep(session, outline)


def _keep(session: Session, outline: Tree) -> Tree:
    # A home that cannot be written is told of by every command that needs it.
    with suppress(OSError):
        path = session.settings.home / completion.FILE_NAME
        replace_file(path, json.dumps(outline, ensure_ascii=False).encode("utf-8", "surrogateescape"))
    return outline


def _draw(context: Context, session: Session) -> Tree:
    from plugin_core.cli.app import build_app

    app = build_app()
    presets: dict[str, str] = {}
    with suppress(StembridgeError):
        # The user's own are looked up anew each time.
        own = session.settings.table("presets")
        presets = {name: each.title for name, each in load_presets(session.settings).items() if name not in own}
    ctx = click.Context(app, obj=context, info_name="stembridge")
    return {
        "signature": completion.signature(),
        "tree": _Drawing(session).draw(app, ctx, ()),
        "providers": sorted(session.providers),
        "presets": presets,
        "models": _describe_models(asyncio.run(_ask_models(session, only_here=True))),
    }


def _describe_models(models: Mapping[str, Iterable[Model]]) -> dict[str, dict[str, str]]:
    return {name: {model.id: model.name for model in its} for name, its in models.items()}


async def _ask_models(session: Session, *, only_here: bool = False) -> dict[str, Sequence[Model]]:
    """Return the models of each provider that tells them, or of those alone that ask no service."""
    found: dict[str, Sequence[Model]] = {}
    for name, each in session.registry.separators.items():
        if not (only_here and each.remote):
            try:
                found[name] = await each.models()
            except StembridgeError as error:
                log.warning("%s: its models are not known: %s", name, error)
    return found


class _Drawing:
    """Turns click's commands into the tree."""

    def __init__(self, session: Session) -> None:
        self._separators = sorted(session.registry.separators)
        self._of_command: dict[str, list[str]] = {
            "tag": sorted(session.registry.taggers),
            "login": sorted(name for name, each in session.providers.items() if isinstance(each, HasLogin)),
            "account": sorted(name for name, each in session.providers.items() if isinstance(each, HasAccount)),
            "purchases": sorted(session.providers),
        }
        sections = {name: msgspec.structs.fields(kind) for name, kind in sorted(declared(session).items())}
        self._keys = [
            f"{name}.{field.name}"
            for name, fields in sections.items()
            for field in fields
            # Those are for `stembridge login`.
            if field.type is not Secret and not is_secret_name(field.name)
        ]
        self._sections = [*sections, *self._keys]
        self._projects = [*sorted(session.registry.session_formats), NO_PROJECT]

    def draw(self, command: click.Command, ctx: click.Context, path: tuple[str, ...]) -> Tree:
        """Return one command, with all below it."""
        commands: dict[str, click.Command] = {}
        if isinstance(command, click.Group):
            every = {name: command.get_command(ctx, name) for name in command.list_commands(ctx)}
            commands = {name: each for name, each in every.items() if each is not None and not each.hidden}
            if isinstance(command, SuggestingGroup) and command.unnamed:
                unnamed = command.commands[command.unnamed]
                return self.draw(unnamed, ctx, path) | {"commands": self._draw_all(commands, ctx, path)}
        arguments = [each for each in command.get_params(ctx) if isinstance(each, click.Argument)]
        options = [each for each in command.get_params(ctx) if isinstance(each, click.Option) and not each.hidden]
        return {
            "help": summarise(command),
            "commands": self._draw_all(commands, ctx, path),
            "options": {
                name: [None if option.is_flag or option.count else self._kind(option, path), _first_line(option)]
                for option in options
                for name in (*option.opts, *option.secondary_opts)
            },
            "arguments": self._models_words(path) or [self._kind(each, path) for each in arguments],
            "repeats": any(each.nargs == -1 for each in arguments),
        }

    def _draw_all(self, commands: Mapping[str, click.Command], ctx: click.Context, path: tuple[str, ...]) -> Tree:
        return {name: self.draw(each, ctx, (*path, name)) for name, each in commands.items()}

    def _models_words(self, path: tuple[str, ...]) -> list[Kind]:
        return [self._separators, MODEL] if path == ("models",) else []

    def _kind(self, param: click.Parameter, path: tuple[str, ...]) -> Kind:
        name = param.name or ""
        if isinstance(param.type, click.Choice):
            return [str(each) for each in param.type.choices]
        if name == "provider":
            usual = self._separators if path == ("models",) else sorted([*self._separators, AUTO])
            return self._of_command.get(path[0], usual)
        if name == "ids":
            return JOB if path[0] == "jobs" else PURCHASE
        if name in ("stems", "minus"):
            return [LIST, *STEMS]
        if name == "project":
            return [LIST, *self._projects]
        if path[:1] == ("config",):
            return {"key": self._keys, "section": self._sections}.get(name, "")
        if name in _KINDS:
            return _KINDS[name]
        if isinstance(param.type, click.Path):
            return FILE if param.type.file_okay else FOLDER
        return ""


def _first_line(option: click.Option) -> str:
    return (option.help or "").partition(".")[0]
