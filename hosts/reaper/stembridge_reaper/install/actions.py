"""The actions: their scripts, names and ids, the ``SCR`` lines of reaper-kb.ini, and what the scripts are told.

``SCR <flags> <section> <id> "Custom: <name>" <path>``; the path is relative to ``Scripts``, with ``/``.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from plugin_core import __version__
from plugin_core.presets import Preset
from plugin_core.settings import Settings
from stembridge_reaper.choices import kind_of
from stembridge_reaper.install.reaper_ini import SCRIPTS
from stembridge_reaper.runs import RUNS

SOURCES = Path(__file__).parents[1] / "reascripts"
PACKAGE = "stembridge_scripts"
CATEGORY = "Items"
"""Of the ReaPack index, whose scripts lie in a folder of that name below ours."""

Launcher = Literal["lua", "python"]
"""The language of the scripts: REAPER brings Lua, and Python is the user's."""

SUFFIXES: Final[dict[Launcher, str]] = {"lua": ".lua", "python": ".py"}

_SCRIPTS: Final = {
    "python": """# @description {title}
# @version {version}
# @author {author}
{about}
from stembridge_scripts import actions

actions.{call}
""",
    "lua": """-- @description {title}
-- @version {version}
-- @author {author}
{about}local folder = select(2, reaper.get_action_context()):match("^(.*[/\\\\])")
assert(loadfile(folder .. "stembridge_scripts/launcher.lua"))(folder).{call}
""",
}

_SHIPPED: Final = (
    ("cancel", "Cancel jobs", "Cancels what stembridge is doing, at the service too.", "cancel_jobs()"),
    (
        "insert",
        "Insert finished stems",
        "Inserts stems that were finished while their project was closed, and goes on after a crash.",
        "insert_finished()",
    ),
    ("jobs", "Show jobs", "Lists what stembridge is doing in the console.", "show_jobs()"),
    (
        "label",
        "Label selected items' files",
        "Writes mood, genre and the like into the tags of the selected items' files.",
        "label_files()",
    ),
    (
        "separate_choose",
        "Separate selected items (choose preset...)",
        "Splits the files of the selected items into stems, on tracks below their own.",
        "separate_choosing()",
    ),
    (
        "separate_last",
        "Separate selected items (last preset)",
        "Splits the files of the selected items into stems by the preset that was used last.",
        "separate_again()",
    ),
)
"""Of each action that is there whatever the presets: its script, title, what it does, and what it calls."""

AUTHOR: Final = "The stembridge authors"


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One action of REAPER's action list."""

    file: str
    title: str
    source: str
    """The script's text, ASCII."""

    @property
    def path(self) -> str:
        """The script relative to ``Scripts``, as reaper-kb.ini stores it."""
        return f"{SCRIPTS}/{self.file}"

    @property
    def id(self) -> str:
        """The action's id: constant, since REAPER derives it from the path."""
        return action_id(self.path)


def action_id(path: str) -> str:
    """Return REAPER's id for a script of the main section: ``RS`` and the SHA-1 of its path in upper case."""
    return "RS" + hashlib.sha1(path.upper().encode(), usedforsecurity=False).hexdigest()


def shipped_actions(launcher: Launcher) -> list[Action]:
    """Return the actions that are there whatever the presets."""
    return [_make_action(name, launcher, title, about, call) for name, title, about, call in _SHIPPED]


def preset_actions(presets: Iterable[Preset], launcher: Launcher) -> list[Action]:
    actions = []
    for preset in presets:
        what = "Separate selected items" if kind_of(preset) == "separate" else "Label selected items' files"
        title = f"{what} ({_plain(preset.title or preset.name)})"
        name = ascii(preset.name) if launcher == "python" else _quote_lua(preset.name)
        actions.append(_make_action(_script_name(preset.name), launcher, title, "", f"separate_by({name})"))
    return actions


def _make_action(name: str, launcher: Launcher, title: str, about: str, call: str) -> Action:
    """Write the script of an action; comments are all that a package manager knows of it."""
    comment = "--" if launcher == "lua" else "#"
    told = f"{comment} @about {about}\n" if about else ""
    source = _SCRIPTS[launcher].format(title=title, version=__version__, author=AUTHOR, about=told, call=call)
    return Action(file=f"stembridge_{name}{SUFFIXES[launcher]}", title=title, source=source)


def _quote_lua(text: str) -> str:
    """Return a text as Lua reads it from ASCII."""
    return (
        '"' + "".join(chr(one) if chr(one).isalnum() and one < 128 else f"\\{one:03d}" for one in text.encode()) + '"'
    )


def wanted_actions(folder: Path, presets: Iterable[Preset], launcher: Launcher) -> list[Action]:
    """Return the actions to install into a folder of scripts; those that ReaPack has put there are not doubled."""
    shipped = [one for one in shipped_actions(launcher) if not (folder / CATEGORY / one.file).is_file()]
    return [*shipped, *preset_actions(presets, launcher)]


def package_files(launcher: Launcher) -> dict[str, bytes]:
    """Return the modules the scripts share, by their path below the folder of scripts."""
    folder = SOURCES / PACKAGE
    return {f"{PACKAGE}/{path.name}": path.read_bytes() for path in sorted(folder.glob(f"*{SUFFIXES[launcher]}"))}


def _script_name(preset: str) -> str:
    """Return a name that follows from the preset's alone, so that its action keeps its id whatever else there is."""
    slug = re.sub(r"[^a-z0-9]+", "_", preset.lower()).strip("_")
    if slug.replace("_", "-") != preset:
        slug = f"{slug}_{hashlib.sha1(preset.encode(), usedforsecurity=False).hexdigest()[:8]}".lstrip("_")
    return f"preset_{slug}"


def _plain(text: str) -> str:
    """Return a title that a quoted ASCII field of a settings file can hold."""
    ascii_text = text.encode("ascii", "replace").decode()
    return " ".join(ascii_text.replace('"', "'").split())


ALWAYS_NEW = 516
"""Flag: an action that runs already is started once more without a question."""

_OURS = re.compile(rf'^SCR \d+ \d+ (RS\w+) ".*" "?{SCRIPTS}/stembridge_[^/"]+\.(?:py|lua)"?$')


def registration(action: Action) -> str:
    """Return the line that registers an action in the main section."""
    path = f'"{action.path}"' if " " in action.path else action.path
    return f'SCR {ALWAYS_NEW} 0 {action.id} "Custom: stembridge: {action.title}" {path}'


def register(lines: Sequence[str], actions: Sequence[Action]) -> list[str]:
    """Return the lines of a key map in which exactly these of our actions stand, and all others where they were."""
    wanted = {action.id: registration(action) for action in actions}
    kept = []
    for line in lines:
        ours = own_id(line)
        if ours is None:
            kept.append(line)
        elif ours in wanted:
            kept.append(wanted.pop(ours))
    return [*kept, *wanted.values()]


def unregister(lines: Sequence[str]) -> list[str]:
    """Return the lines of a key map without our actions; keys bound to them stay and wait for the next install."""
    return [line for line in lines if own_id(line) is None]


def installed_launcher(folder: Path) -> Launcher:
    """Return the language of the scripts in a folder; Lua where there are none."""
    has_python = any(folder.glob("stembridge_*.py")) and not any(folder.glob("stembridge_*.lua"))
    return "python" if has_python else "lua"


def missing_actions(lines: Collection[str], actions: Sequence[Action]) -> list[Action]:
    return [action for action in actions if registration(action) not in lines]


def own_id(line: str) -> str | None:
    """Return the id of the action of ours that a line registers, or None."""
    found = _OURS.match(line.strip())
    return found.group(1) if found else None


CONFIGURATION = "stembridge.json"

CONFIGURATION_VERSION = 2


def build_configuration(settings: Settings, presets: Iterable[Preset]) -> bytes:
    """Return the configuration as ASCII JSON.

    Args:
        settings: whose home the runs lie in.
        presets: in the order they are offered.
    """
    document = {
        "version": CONFIGURATION_VERSION,
        "python": str(Path(sys.executable).absolute()),
        "arguments": ["-m", "plugin_core"],
        # Lua gives its worker no environment of its own: -E keeps a foreign one out.
        "launch": ["-E", "-X", "utf8", "-m", "stembridge_reaper", "plugin_core"],
        "home": str(settings.home),
        "runs": str(settings.home / RUNS),
        "presets": [{"name": preset.name, "title": preset.title, "kind": kind_of(preset)} for preset in presets],
    }
    return (json.dumps(document, indent=1) + "\n").encode("ascii")
