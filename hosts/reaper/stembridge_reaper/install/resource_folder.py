"""Where REAPER keeps its settings and its scripts, and whether it runs: it would undo what is written meanwhile."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from plugin_core.errors import UsageError
from plugin_core.model import show_path

SCRIPTS = "stembridge"
"""Folder of our scripts below ``Scripts``; part of every action's id."""


def usual_resource_paths(
    environ: Mapping[str, str], platform: str = sys.platform, home: Path | None = None
) -> list[Path]:
    """Return the places where REAPER's resource path usually is, the likeliest first."""
    home = home or Path.home()
    if platform == "win32":
        return [Path(environ["APPDATA"], "REAPER")] if environ.get("APPDATA") else []
    if platform == "darwin":
        return [home / "Library" / "Application Support" / "REAPER"]
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [config / "REAPER", home / ".var" / "app" / "fm.reaper.Reaper" / "config" / "REAPER"]


def find_resource_path(named: Path | None, environ: Mapping[str, str]) -> Path:
    """Return REAPER's resource path.

    Raises:
        UsageError: REAPER was never started here, or the named folder is none of its.
    """
    if named is not None:
        if not named.is_dir():
            raise UsageError(f"{show_path(named)} is no folder", remedy=_ADVICE)
        return named.absolute()
    for path in usual_resource_paths(environ):
        if path.is_dir():
            return path
    raise UsageError("REAPER has no folder of settings here", remedy=f"start REAPER once, or {_ADVICE}")


def scripts_folder(resource_path: Path) -> Path:
    """Return the folder of our scripts."""
    return resource_path / "Scripts" / SCRIPTS


def own_scripts(folder: Path) -> list[Path]:
    """Return the scripts of any version of ours in their folder, where others may lie too."""
    places = ("stembridge_*", "stembridge_scripts/*")
    return [path for place in places for suffix in (".py", ".lua") for path in folder.glob(place + suffix)]


_ADVICE = 'give --resource-path with the folder that REAPER\'s "Options, Show REAPER resource path" opens'

_NAMES = re.compile(r"^reaper(32|64)?(\.exe)?$", re.IGNORECASE)


def is_reaper_running(list_names: Callable[[], Iterable[str]] | None = None) -> bool:
    """Tell whether a process of this machine is REAPER."""
    return any(_NAMES.match(name.strip()) for name in (list_names or process_names)())


def process_names() -> list[str]:
    """Return the names of the running processes; none where the system does not tell."""
    if sys.platform == "linux":
        return [_name_of(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    command = ["tasklist", "/FO", "CSV", "/NH"] if sys.platform == "win32" else ["ps", "-axco", "comm"]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    lines = done.stdout.decode(errors="replace").splitlines()
    return [line.split(",")[0].strip('"') for line in lines]


def _name_of(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        # It ended meanwhile.
        return ""
