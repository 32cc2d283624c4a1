"""Where REAPER keeps its settings and its scripts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
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
    return [*folder.glob("stembridge_*.py"), *folder.glob("stembridge_scripts/*.py")]


_ADVICE = 'give --resource-path with the folder that REAPER\'s "Options, Show REAPER resource path" opens'
