"""Putting REAPER back as it was: only what ``install`` changed, and only where it still stands so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from plugin_core.errors import PlacementError
from plugin_core.model import show_path
from stembridge_reaper.install import configuring, reaper_ini
from stembridge_reaper.install.catalogue import PACKAGE
from stembridge_reaper.install.installing import KEYMAP, SETTINGS, refuse_running
from stembridge_reaper.install.keymap import unregister
from stembridge_reaper.install.places import own_scripts, scripts_folder
from stembridge_reaper.install.processes import is_reaper_running
from stembridge_reaper.install.record import NAME as RECORD
from stembridge_reaper.install.record import Record, read_record
from stembridge_reaper.install.text_file import TextFile, backups_of


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
    own = [*own_scripts(folder), *(folder / name for name in (configuring.NAME, RECORD))]
    found = [path for path in own if path.exists()]
    for path in found:
        path.unlink()
    shutil.rmtree(folder / PACKAGE / "__pycache__", ignore_errors=True)
    for place in (folder / PACKAGE, folder):
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
    return f"removed: {show_path(folder)}" if found else ""


def _restore(file: TextFile, record: Record, undo: Callable[[TextFile, Record], None]) -> str:
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


def _unregister(keymap: TextFile, _record: Record) -> None:
    keymap.lines = unregister(keymap.lines)


def _restore_keys(ini: TextFile, record: Record) -> None:
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
