"""Setting REAPER up and putting it back as it was: scripts, configuration, actions, Python. Twice changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from plugin_core.errors import PlacementError, UsageError
from plugin_core.files.placement import replace_file
from plugin_core.model import show_path
from plugin_core.presets import load_presets
from plugin_core.settings import Settings
from stembridge_reaper.install import reaper_ini
from stembridge_reaper.install.actions import (
    CONFIGURATION,
    PACKAGE,
    Action,
    Launcher,
    build_configuration,
    installed_launcher,
    package_files,
    register,
    unregister,
    wanted_actions,
)
from stembridge_reaper.install.python_library import NOT_TRIED, Attempt, Trial, check_library, find_library, try_library
from stembridge_reaper.install.reaper_ini import (
    TextFile,
    backups_of,
    is_reaper_running,
    own_scripts,
    scripts_folder,
)
from stembridge_reaper.runs import RUNS

RECORD_NAME = "installed.json"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One key of reaper.ini."""

    before: str | None
    after: str


class InstallRecord(msgspec.Struct, kw_only=True):
    """Everything that was changed outside the folder of scripts."""

    keys: dict[str, Change] = {}
    added_section: bool = False
    created: list[str] = []
    """Names of settings files that were not there before."""
    ended_lines: list[str] = []
    """Names of settings files whose last line had no end."""


def read_record(resource_path: Path) -> InstallRecord:
    """Return what was changed so far; nothing when there is no record that can be read."""
    try:
        return msgspec.json.decode((scripts_folder(resource_path) / RECORD_NAME).read_bytes(), type=InstallRecord)
    except (OSError, msgspec.DecodeError):
        return InstallRecord()


def write_record(resource_path: Path, record: InstallRecord) -> None:
    """Keep what was changed."""
    replace_file(scripts_folder(resource_path) / RECORD_NAME, msgspec.json.format(msgspec.json.encode(record)) + b"\n")


KEYMAP = "reaper-kb.ini"
SETTINGS = "reaper.ini"


def install(
    resource_path: Path,
    settings: Settings,
    python_library: str = "auto",
    launcher: Launcher | None = None,
    *,
    is_running: Callable[[], bool] = is_reaper_running,
    find: Callable[[], tuple[Path, Trial]] = find_library,
    attempt: Attempt = try_library,
) -> list[str]:
    """Set REAPER up and return what was done, a line each.

    Args:
        resource_path: REAPER's folder of settings.
        settings: whose presets become actions.
        python_library: ``auto``, ``keep`` or the path of a library.
        launcher: language of the scripts; those of the other go. Default what is installed, or Lua, which needs no
            library.
        is_running: tells whether REAPER runs.
        find: finds a library.
        attempt: tries one that is named, or stands in the settings.

    Raises:
        UsageError: REAPER runs, or there is no Python library that the scripts can run in; nothing was changed.
        PlacementError: a file cannot be written.
    """
    refuse_running(is_running)
    presets = list(load_presets(settings).values())
    launcher = launcher or installed_launcher(scripts_folder(resource_path))
    if launcher == "lua" and python_library not in ("auto", "keep"):
        raise UsageError("scripts in Lua need no Python library", remedy="add --launcher python")
    actions = wanted_actions(scripts_folder(resource_path), presets, launcher)
    ini = TextFile(resource_path / SETTINGS)
    is_first = not ini.exists
    library = _choose_library(ini, python_library, find, attempt) if launcher == "python" else None
    record = read_record(resource_path)
    keymap = TextFile(resource_path / KEYMAP)
    _make_folder(settings.home / RUNS)
    scripts = {action.file: action.source.encode("ascii") for action in actions} | package_files(launcher)
    lines = [_copy_scripts(resource_path, scripts, build_configuration(settings, presets))]
    if launcher == "python":
        lines.append(_enable_python(ini, library, record))
    lines.append(_register(keymap, actions, record))
    # Before what it tells of, so that an install that fails half-way can be taken back.
    _keep(resource_path, record)
    lines += [*_saved(ini), *_saved(keymap)]
    if is_first:
        lines.append(f"{show_path(resource_path)} had no {SETTINGS}: make sure that it is REAPER's resource path")
    return [*lines, f"ready: start REAPER; its action list (?) has {len(actions)} actions of stembridge"]


def refuse_running(is_running: Callable[[], bool]) -> None:
    """Make sure that REAPER is closed.

    Raises:
        UsageError: it is not.
    """
    if is_running():
        raise UsageError("REAPER runs, and would undo this when it ends", remedy="close REAPER and try again")


def _choose_library(
    ini: TextFile, wish: str, find: Callable[[], tuple[Path, Trial]], attempt: Attempt
) -> tuple[Path, Trial] | None:
    """Return the library to enter, and how it did; None leaves what stands."""
    if wish == "keep":
        return None
    if wish != "auto":
        return check_library(Path(wish), attempt)
    standing = reaper_ini.library_of(ini)
    return None if standing is not None and not attempt(standing).fault else find()


def _copy_scripts(resource_path: Path, scripts: dict[str, bytes], configuration: bytes) -> str:
    folder = scripts_folder(resource_path)
    files = scripts | {CONFIGURATION: configuration}
    try:
        for stale in _stale(folder, files):
            stale.unlink()
        for name, content in files.items():
            if _content(folder / name) != content:
                replace_file(folder / name, content)
    except OSError as error:
        raise PlacementError(f"{show_path(folder)} cannot be written: {error.strerror}") from error
    return f"scripts: {show_path(folder)}"


def _stale(folder: Path, files: dict[str, bytes]) -> Iterator[Path]:
    """Yield what an earlier version left: scripts of presets that are no more, modules that were renamed."""
    for path in own_scripts(folder):
        if path.relative_to(folder).as_posix() not in files:
            yield path


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlacementError(f"{show_path(folder)} cannot be made: {error.strerror}") from error


def _keep(resource_path: Path, record: InstallRecord) -> None:
    try:
        write_record(resource_path, record)
    except OSError as error:
        raise PlacementError(f"{show_path(resource_path)} cannot be written: {error.strerror}") from error


def _enable_python(ini: TextFile, chosen: tuple[Path, Trial] | None, record: InstallRecord) -> str:
    if chosen is None:
        return "Python: left as it is"
    library, trial = chosen
    _note_file(ini, record)
    if reaper_ini.SECTION not in [line.strip().lower() for line in ini.lines]:
        record.added_section = True
    wanted = {
        reaper_ini.LIBRARY: library.name,
        reaper_ini.FOLDER: str(library.parent),
        reaper_ini.ENABLED: "1",
    }
    for key, value in wanted.items():
        before = reaper_ini.get(ini, key)
        if before != value:
            first = record.keys[key].before if key in record.keys else before
            record.keys[key] = Change(before=first, after=value)
            reaper_ini.put(ini, key, value)
    return f"Python: {show_path(library)}{'' if trial.is_done else f' ({NOT_TRIED})'}"


def _register(keymap: TextFile, actions: list[Action], record: InstallRecord) -> str:
    wanted = register(keymap.lines, actions)
    if wanted != keymap.lines:
        _note_file(keymap, record)
        keymap.lines = wanted
    return f"actions: {len(actions)} in {show_path(keymap.path)}"


def _note_file(file: TextFile, record: InstallRecord) -> None:
    name = file.path.name
    if not file.exists and name not in record.created:
        record.created.append(name)
    if file.end_line() and name not in record.ended_lines:
        record.ended_lines.append(name)


def _saved(file: TextFile) -> list[str]:
    copy = file.save()
    return [f"copy of what it was: {show_path(copy)}"] if copy else []


def uninstall(resource_path: Path, *, is_running: Callable[[], bool] = is_reaper_running) -> list[str]:
    """Undo ``install`` and return what was done, a line each.

    Args:
        resource_path: REAPER's folder of settings.
        is_running: tells whether REAPER runs.

    Raises:
        UsageError: REAPER runs; nothing was changed.
        PlacementError: a file cannot be written.
    """
    refuse_running(is_running)
    record = read_record(resource_path)
    lines = [
        _restore(TextFile(resource_path / KEYMAP), record, _unregister),
        _restore(TextFile(resource_path / SETTINGS), record, _restore_keys),
    ]
    folder = scripts_folder(resource_path)
    if folder.is_dir():
        try:
            lines.append(_remove_scripts(folder))
        except OSError as error:
            raise PlacementError(f"{show_path(folder)} cannot be removed: {error.strerror}") from error
    return [line for line in lines if line] or ["nothing was installed"]


def _remove_scripts(folder: Path) -> str:
    """Remove what is ours; ReaPack and people put scripts of their own there, and those stay."""
    own = [*own_scripts(folder), *(folder / name for name in (CONFIGURATION, RECORD_NAME))]
    found = [path for path in own if path.exists()]
    for path in found:
        path.unlink()
    shutil.rmtree(folder / PACKAGE / "__pycache__", ignore_errors=True)
    for place in (folder / PACKAGE, folder):
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
    return f"removed: {show_path(folder)}" if found else ""


def _restore(file: TextFile, record: InstallRecord, undo: Callable[[TextFile, InstallRecord], None]) -> str:
    if not file.exists:
        return ""
    undo(file, record)
    if file.path.name in record.ended_lines:
        file.open_line()
    copy = file.save()
    if not file.lines and file.path.name in record.created:
        file.path.unlink()
    _remove_equal_backups(file.path)
    return f"put back: {show_path(file.path)}" if copy else ""


def _unregister(keymap: TextFile, _record: InstallRecord) -> None:
    keymap.lines = unregister(keymap.lines)


def _restore_keys(ini: TextFile, record: InstallRecord) -> None:
    for key, change in record.keys.items():
        # What the user changed since then is the user's.
        if reaper_ini.get(ini, key) == change.after:
            reaper_ini.put(ini, key, change.before)
    if record.added_section and [line.strip().lower() for line in ini.lines][-1:] == [reaper_ini.SECTION]:
        ini.lines.pop()


def _remove_equal_backups(path: Path) -> None:
    """Remove copies that say nothing the file does not, and those of what ``install`` itself had written."""
    copies = backups_of(path)
    if not path.exists() or (copies and copies[0].read_bytes() == path.read_bytes()):
        for copy in copies:
            copy.unlink()
