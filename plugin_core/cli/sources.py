"""From what people write on the command line to the songs that are meant: files, folders and patterns."""

from __future__ import annotations

import codecs
import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from plugin_core.console.phrases import plural, show
from plugin_core.errors import UsageError
from plugin_core.operations.stem_tags import find_songs, is_own_work, is_song
from plugin_core.stems.layout import STEMS_SUFFIX

F = TypeVar("F", bound=Callable[..., Any])
Walk = Callable[[Path], Iterator[Path]]
_FILES = (
    click.option("-0", "--null", is_flag=True, help="Names in LIST end in NUL, as find -print0 writes them."),
    click.option("--files-from", metavar="LIST", help="Also the files that LIST names, one a line; - is stdin."),
    click.argument("files", nargs=-1, metavar="FILE...", type=click.UNPROCESSED),
)


def files_argument(function: F) -> F:
    """Add the argument FILE... and the options that read more of them."""

    @wraps(function)
    def call(*given: Any, files: tuple[str, ...], files_from: str | None, null: bool, **options: Any) -> Any:
        if files_from is not None:
            files = (*files, *read_list(files_from, separator=b"\0" if null else b"\n"))
        elif not files:
            raise click.UsageError("Missing argument 'FILE...'.", click.get_current_context())
        return function(*given, files=files, **options)

    for option in _FILES:
        call = option(call)
    return cast("F", call)


def read_list(name: str, *, separator: bytes) -> list[str]:
    """Return the names in a list of files; empty lines count for nothing.

    Args:
        name: the list, or ``-`` for standard input.
        separator: what ends a name.

    Raises:
        UsageError: it cannot be read, or names nothing.
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{show(Path(name))} cannot be read: {error.strerror}", remedy="--files-from LIST") from error
    if name == "-" and sys.stdout.isatty():
        # Whoever sits there is asked before anything is bought, though the list came by a pipe.
        with suppress(OSError):
            sys.stdin = open("/dev/tty", encoding=sys.stdin.encoding)  # noqa: PTH123, SIM115 - for as long as it runs
    if separator == b"\n":
        if b"\0" in data:
            raise UsageError("a name in the list holds a NUL", remedy="add -0 for what find -print0 writes")
        data = data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").removesuffix(b"\r")
    lines = data.split(separator)
    names = [os.fsdecode(line) for line in lines if line]
    if not names:
        raise UsageError(f"{'standard input' if name == '-' else show(Path(name))} names no file")
    return names


def find_sources(
    names: Sequence[str],
    *,
    recursive: bool = False,
    results: Path | None = None,
    is_own: Callable[[Path], bool] = is_own_work,
) -> list[Path]:
    """Return the files that are meant, absolute, each once, in the order named; folders sorted by name.

    Args:
        names: files, folders, or patterns (``*``, ``?``, ``[...]``, ``**``) where no file is called so.
        recursive: whether folders may be named.
        results: the folder results go to; a walk that comes upon it passes it over.
        is_own: tells whether stembridge made a file.

    Raises:
        UsageError: something named does not exist, a folder without ``recursive``, or no audio file at all.
    """
    _refuse_missing(names)
    walk = partial(find_songs, results=results, is_own=is_own)
    found: dict[str, Path] = {}
    for name in names:
        for path in _expand(name, walk if recursive else None, is_own, is_alone=len(names) == 1):
            found.setdefault(os.path.realpath(path), path)
    if not found:
        raise UsageError(
            f"no audio file in {', '.join(show(Path(name)) for name in names)}",
            remedy="stems that stembridge made are taken only where they are named one by one",
        )
    return list(found.values())


def _refuse_missing(names: Sequence[str]) -> None:
    if link := next((name for name in names if "://" in name and not os.path.lexists(name)), ""):
        # What it holds may be a secret.
        raise UsageError(
            f"{link.partition('://')[0]}://... is no file",
            remedy="`stembridge separate` alone takes links, of https://, with a --provider that fetches them",
        )
    missing = [name for name in names if not os.path.lexists(name) and not glob.has_magic(name)]
    if missing:
        more = f" (and {plural(len(missing) - 1, 'other')})" if len(missing) > 1 else ""
        raise UsageError(f"no such file: {show(Path(missing[0])) if missing[0] else 'an empty name'}{more}")


def _expand(name: str, walk: Walk | None, is_own: Callable[[Path], bool], *, is_alone: bool) -> Iterator[Path]:
    path = Path(name).absolute()
    if not os.path.lexists(path):
        yield from _match(name, walk, is_own)
    elif not path.is_dir():
        yield path
    elif walk is not None:
        yield from walk(path)
    elif is_alone or path.suffix != STEMS_SUFFIX:
        # A shell's * names our own results beside the songs; they are passed over, any other folder is a mistake.
        raise UsageError(f"{show(path)} is a folder", remedy="add --recursive to take every song in it")


def _match(pattern: str, walk: Walk | None, is_own: Callable[[Path], bool]) -> Iterator[Path]:
    """Expand a pattern as a shell would; one without a suffix of its own takes audio files only."""
    suffix = Path(pattern).suffix
    takes_any_file = bool(suffix) and not glob.has_magic(suffix)
    found = False
    for name in sorted(glob.iglob(pattern, recursive=True)):  # noqa: PTH207 - absolute patterns too, as a shell has them
        path = Path(name).absolute()
        if _is_result(path):
            continue
        if path.is_dir():
            if walk is not None:
                yield from walk(path)
        elif takes_any_file or is_song(path):
            # A template need not keep stems in a folder of their own.
            if not is_own(path):
                yield path
        else:
            continue
        found = True
    if not found:
        raise UsageError(f"no audio file matches {show(Path(pattern))}")


def _is_result(path: Path) -> bool:
    return any(part.endswith(STEMS_SUFFIX) for part in path.parts[-2:])
