"""``stembridge reaper doctor``: each step between REAPER and stembridge, in the order it can fail."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from plugin_core import __version__
from plugin_core.console.phrases import plural
from plugin_core.errors import StembridgeError
from plugin_core.model import Finding, Verdict, show_path
from plugin_core.presets import load_presets
from plugin_core.settings import Settings
from stembridge_reaper.install import reaper_ini
from stembridge_reaper.install.actions import (
    CONFIGURATION,
    Action,
    Launcher,
    installed_launcher,
    missing_actions,
    package_files,
    wanted_actions,
)
from stembridge_reaper.install.python_library import NOT_TRIED, TRY_BY, Attempt, Trial, try_library
from stembridge_reaper.install.reaper_ini import TextFile, is_reaper_running, scripts_folder
from stembridge_reaper.install.setup import KEYMAP, SETTINGS
from stembridge_reaper.reascripts.stembridge_scripts.runs import clean_environment
from stembridge_reaper.runs import RUNS

WIDTH = 16
"""Characters of the longest name of a finding, and some room."""

MENU_ADVICE = (
    "all well. To have the actions at hand: Options, Customize menus/toolbars, choose 'Media item context',"
    " Add, Action, search 'stembridge', Select, Save"
)

_AGAIN = "close REAPER and run `stembridge reaper install`"


def examine(
    resource_path: Path,
    settings: Settings,
    *,
    is_running: Callable[[], bool] = is_reaper_running,
    attempt: Attempt = try_library,
) -> list[Finding]:
    """Return one finding for each step; changes nothing."""
    launcher = installed_launcher(scripts_folder(resource_path))
    return [
        _ok("resource path", show_path(resource_path)),
        _check_running(is_running),
        # What REAPER loads for other scripts is not ours to try.
        _check_python(TextFile(resource_path / SETTINGS), attempt)
        if launcher == "python"
        else _ok("Python", "is not needed in REAPER: the scripts are in Lua"),
        *_check_scripts(resource_path, settings, launcher),
        _check_interpreter(resource_path),
        _check_runs(settings),
    ]


def conclude(counts: Mapping[Verdict, int]) -> str:
    """Return the last line for people."""
    problems = counts[Verdict.WRONG]
    return f"{plural(problems, 'problem')} to mend" if problems else MENU_ADVICE


def _check_running(is_running: Callable[[], bool]) -> Finding:
    if is_running():
        return Finding(
            name="REAPER", verdict=Verdict.WARNING, found="runs", remedy="close it before install or uninstall"
        )
    return _ok("REAPER", "is closed, so it can be set up")


def _check_python(ini: TextFile, attempt: Attempt) -> Finding:
    if (library := reaper_ini.library_of(ini)) is not None:
        return _check_library(library, attempt(library))
    if reaper_ini.get(ini, reaper_ini.ENABLED) != "1":
        return _wrong("Python", "is not switched on for scripts", _AGAIN)
    name = reaper_ini.get(ini, reaper_ini.LIBRARY) or ""
    if name and not reaper_ini.is_new_enough(name):
        return _wrong("Python", f"{name} is too old for the scripts, which need 3.8", _AGAIN)
    return _wrong("Python", "the library that reaper.ini names is not there", _AGAIN)


def _check_library(library: Path, trial: Trial) -> Finding:
    shown = show_path(library)
    if trial.fault:
        return _wrong("Python", f"{shown} will not do: {trial.fault}", _AGAIN)
    if not trial.is_done:
        return Finding(name="Python", verdict=Verdict.WARNING, found=f"{shown}, {NOT_TRIED}", remedy=TRY_BY)
    return _ok("Python", shown)


def _check_scripts(resource_path: Path, settings: Settings, launcher: Launcher) -> list[Finding]:
    try:
        actions = wanted_actions(scripts_folder(resource_path), load_presets(settings).values(), launcher)
    except StembridgeError as error:
        return [_wrong("presets", error.message, error.remedy)]
    files = {action.file: action.source.encode("ascii") for action in actions} | package_files(launcher)
    return [_check_files(resource_path, files), _check_actions(resource_path, actions)]


def _check_files(resource_path: Path, files: dict[str, bytes]) -> Finding:
    folder = scripts_folder(resource_path)
    bad = [name for name, content in files.items() if not _is_same(folder / name, content)]
    if bad:
        return _wrong("scripts", f"{len(bad)} of {len(files)} are missing or old in {show_path(folder)}", _AGAIN)
    return _ok("scripts", show_path(folder))


def _check_actions(resource_path: Path, actions: list[Action]) -> Finding:
    missing = missing_actions(TextFile(resource_path / KEYMAP).lines, actions)
    if missing:
        return _wrong("actions", f"not registered: {', '.join(action.title for action in missing)}", _AGAIN)
    return _ok("actions", f"{len(actions)} registered")


def _check_interpreter(resource_path: Path) -> Finding:
    try:
        document = json.loads((scripts_folder(resource_path) / CONFIGURATION).read_bytes())
        command = [document["python"], *document["arguments"], "--version"]
    except (OSError, ValueError, KeyError):
        return _wrong("interpreter", "the scripts have no configuration", _AGAIN)
    try:
        environment = clean_environment(os.environ, document["home"])
        done = subprocess.run(command, capture_output=True, check=True, timeout=60, env=environment)
    except (OSError, subprocess.SubprocessError):
        return _wrong("interpreter", f"{document['python']} cannot start stembridge", _AGAIN)
    version = done.stdout.decode(errors="replace").split()[-1:]
    if version != [__version__]:
        return _wrong("interpreter", f"{document['python']} has stembridge {' '.join(version)}", _AGAIN)
    return _ok("interpreter", f"{document['python']}, stembridge {__version__}")


def _check_runs(settings: Settings) -> Finding:
    folder = settings.home / RUNS
    if folder.is_dir() and os.access(folder, os.W_OK):
        return _ok("runs", show_path(folder))
    return _wrong("runs", f"{show_path(folder)} cannot be written", _AGAIN)


def _is_same(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _ok(name: str, found: str) -> Finding:
    return Finding(name=name, verdict=Verdict.OK, found=found)


def _wrong(name: str, found: str, remedy: str) -> Finding:
    return Finding(name=name, verdict=Verdict.WRONG, found=found, remedy=remedy)
