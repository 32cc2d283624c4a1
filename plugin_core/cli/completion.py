"""What a shell may put in place of the word under the cursor, told fast: ``stembridge __complete SHELL ...``.

The tree of commands is drawn once from the command line itself (``commands/completion.py``) and kept in the home
folder until stembridge, a plugin or a Python path changes. What changes between two keys (presets, jobs, purchases) is
looked up at once. This module imports nothing that is not needed for the answer.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from plugin_core._version import __version__

FILE_NAME: Final = "completion.json"
FILE, FOLDER, PRESET, MODEL, JOB, PURCHASE = "file", "folder", "preset", "model", "job", "purchase"
LIST: Final = ","
"""Begins the first word of a list that is written with commas."""
_SPECIAL: Final = frozenset(" \t!\"#$&'()*;<>?[\\]^`{|}~")
_IN_QUOTES: Final = frozenset('"$\\`')
_NEWEST: Final = 50

Tree = dict[str, Any]
"""One command: its ``help``, ``commands`` by name, ``options`` by name as kind and help, ``arguments`` as kinds."""
Kind = Any
"""None for a flag, words to choose from, or one of the names above; "" for what nobody knows."""
Found = list[tuple[str, str]]
"""Words, and what each of them means."""


def answer(arguments: Sequence[str], draw: Callable[[], Tree]) -> int:
    """Print what fits the word under the cursor: first whether files or folders do, too, then a word a line.

    Args:
        arguments: the shell, then the words before the cursor without the command's own, the last of them unfinished;
            for bash the whole line up to the cursor.
        draw: draws the tree, where none is kept.
    """
    shell, *words = arguments
    quote = ""
    if shell == "bash":
        words, quote = split(words[0])
        words = words[1:]
    outline = read_outline() or draw()
    kind, found = complete(outline, words)
    lines = [kind]
    for word, meaning in found:
        if "\n" in word or "\t" in word:
            continue
        if shell == "bash":
            lines.append(_for_bash(word, words[-1], quote))
        else:
            lines.append(f"{word}\t{' '.join(meaning.split())}" if meaning else word)
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"))
    sys.stdout.flush()
    return 0


def home() -> Path:
    """Return the home folder, as ``Settings`` does with much more at hand."""
    if named := os.environ.get("STEMBRIDGE_HOME"):
        return Path(os.path.abspath(os.path.expanduser(named)))  # noqa: PTH100, PTH111 - a user that is none stays
    from platformdirs import user_data_dir

    return Path(user_data_dir("stembridge", appauthor=False))


def signature() -> list[Any]:
    """Return what the tree depends on: this version, the plugins, and when packages changed last."""
    here = os.path.dirname(__file__)  # noqa: PTH120
    folders = [path for path in sys.path[1:] if os.path.isdir(path)]  # noqa: PTH112
    inner = [os.path.join(here, "commands"), os.path.join(here, "..", "console"), os.path.join(here, "..")]
    times = [os.stat(path).st_mtime_ns for path in (*folders, *inner)]  # noqa: PTH116
    return [__version__, sys.prefix, os.environ.get("STEMBRIDGE_PLUGINS"), folders, times]


def read_outline() -> Tree | None:
    """Return the tree that was kept, unless something changed since."""
    try:
        kept = json.loads((home() / FILE_NAME).read_bytes())
        return kept if isinstance(kept, dict) and kept["signature"] == signature() else None
    except (OSError, ValueError, KeyError):
        return None


def split(line: str) -> tuple[list[str], str]:
    """Return the words of an unfinished line, and the quote that is open at its end."""
    words, word, quote, is_word, is_escaped = [], "", "", False, False
    for sign in line:
        if is_escaped:
            word, is_escaped = word + sign, False
        elif sign == "\\" and quote != "'":
            is_escaped = is_word = True
        elif quote:
            quote, word = ("", word) if sign == quote else (quote, word + sign)
        elif sign in "'\"":
            quote, is_word = sign, True
        elif sign in " \t\n":
            if is_word:
                words.append(word)
            word, is_word = "", False
        else:
            word, is_word = word + sign, True
    return [*words, word], quote


def _for_bash(word: str, typed: str, quote: str) -> str:
    """Return what stands in place of what bash takes for the current word, which begins anew after = and :."""
    end = max(typed.rfind("="), typed.rfind(":")) + 1
    rest = word[end:] if word.startswith(typed[:end]) else word
    if quote == "'":
        return rest.replace("'", "'\\''")
    special = _IN_QUOTES if quote else _SPECIAL
    return "".join(f"\\{sign}" if sign in special else sign for sign in rest)


def complete(outline: Tree, words: Sequence[str]) -> tuple[str, Found]:
    """Return whether files or folders fit the last word, and which other words do.

    Args:
        outline: the tree and what goes with it.
        words: what was typed after the command, the last of them unfinished.
    """
    walk = _Walk(outline["tree"])
    for word in words[:-1]:
        walk.take(word)
    typed = words[-1] if words else ""
    if walk.awaits is not None:
        return _resolve(walk.awaits, "", typed, outline, walk)
    name, is_set, value = typed.partition("=")
    if is_set and name in walk.options:
        return _resolve(walk.options[name][0], f"{name}=", value, outline, walk)
    if typed.startswith("-") and walk.takes_options:
        said = walk.options.items()
        return "plain", [(name, text) for name, (_, text) in said if name.startswith(typed) and name[:2] == "--"]
    commands = walk.node["commands"] if not walk.count else {}
    found = [(name, each["help"]) for name, each in commands.items() if name.startswith(typed)]
    kind, others = _resolve(walk.argument(), "", typed, outline, walk)
    return kind, found + others


class _Walk:
    """Goes down the tree with the words of a line."""

    def __init__(self, tree: Tree) -> None:
        self.node = tree
        self.count = 0
        """How many arguments there were."""
        self.takes_options = True
        self.awaits: Kind = None
        """Kind of the value that comes next."""
        self.path: list[str] = []
        self.arguments: list[str] = []
        self.given: dict[str, str] = {}
        self._option = ""

    @property
    def options(self) -> dict[str, tuple[Kind, str]]:
        found: dict[str, tuple[Kind, str]] = self.node["options"]
        return found

    def take(self, word: str) -> None:
        if self.awaits is not None:
            self.awaits, self.given[self._option] = None, word
        elif word == "--" and self.takes_options:
            self.takes_options = False
        elif self.takes_options and word.startswith("-") and word != "-":
            name, is_set, value = word.partition("=")
            self._option = name
            if is_set:
                self.given[name] = value
            else:
                self.awaits = self.options.get(name, (None,))[0]
        elif not self.count and word in self.node["commands"]:
            self.node = self.node["commands"][word]
            self.path.append(word)
        else:
            self.count += 1
            self.arguments.append(word)

    def argument(self) -> Kind:
        kinds = self.node["arguments"]
        if self.count < len(kinds):
            return kinds[self.count]
        return kinds[-1] if kinds and self.node["repeats"] else ""


def _resolve(kind: Kind, lead: str, typed: str, outline: Tree, walk: _Walk) -> tuple[str, Found]:
    if kind in (FILE, FOLDER):
        return kind, []
    if isinstance(kind, list):
        if kind and kind[0] == LIST:
            done, comma, typed = typed.rpartition(",")
            lead, kind = f"{lead}{done}{comma}", [word for word in kind[1:] if word not in done.split(",")]
        found = [(word, "") for word in kind]
    else:
        found = list(_look_up(kind, outline, walk))
    return "plain", [(f"{lead}{word}", text) for word, text in found if word.startswith(typed)]


def _look_up(kind: str, outline: Tree, walk: _Walk) -> Iterator[tuple[str, str]]:
    if kind == PRESET:
        yield from outline["presets"].items()
        yield from ((name, str(table.get("title", ""))) for name, table in _settings().get("presets", {}).items())
    elif kind == MODEL:
        yield from outline["models"].get(_provider_of(outline, walk), {}).items()
    elif kind == JOB:
        for number, state, body in _rows("SELECT id, state, body FROM jobs ORDER BY id DESC"):
            yield number, f"{state} {_song(json.loads(body).get('source', {}).get('path', ''))}"
    elif kind == PURCHASE:
        for number, state, provider, body in _rows(
            "SELECT id, state, provider, body FROM purchases ORDER BY created DESC"
        ):
            yield number, f"{provider} {state} {_song(json.loads(body).get('song', ''))}"


def _provider_of(outline: Tree, walk: _Walk) -> str:
    """Return whose models are meant: the one that is named, the service whose own command it is, or the usual one."""
    if name := walk.given.get("--provider"):
        return name
    named = walk.arguments[:1] if walk.path == ["models"] else walk.path[:1]
    if named and named[0] in outline["providers"]:
        return named[0]
    return os.environ.get("STEMBRIDGE_SEPARATE_PROVIDER") or str(
        _settings().get("separate", {}).get("provider", "local")
    )


def _settings() -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads((home() / "config.toml").read_text("utf-8-sig"))
    except (OSError, ValueError):
        # Whatever is wrong is told when a command needs it.
        return {}


def _rows(query: str) -> list[tuple[Any, ...]]:
    import sqlite3

    path = home() / "jobs.sqlite3"
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0.2)
        try:
            return connection.execute(f"{query} LIMIT {_NEWEST}").fetchall()
        finally:
            connection.close()
    except sqlite3.Error:
        # No store yet, one that is being made, or one of another version.
        return []


def _song(path: str) -> str:
    return path if path.startswith("bytes:") else os.path.basename(path)  # noqa: PTH119
