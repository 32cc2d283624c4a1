"""REAPER's folder of settings, whether REAPER runs, which would undo changes there, and its files as lines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from plugin_core.errors import PlacementError, UsageError
from plugin_core.files.placement import replace_file
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


MARK = ".stembridge-backup-"


class TextFile:
    """One file, read once; bytes that are not UTF-8 stay what they are.

    Raises:
        PlacementError: it cannot be read, or is no text in an encoding that REAPER writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = _read(path)
        text = (self._before or b"").decode("utf-8", "surrogateescape")
        breaks = text.count("\n")
        # Of a file with both kinds of ends, some lines keep a carriage return.
        self.newline = os.linesep if not breaks else "\r\n" if text.count("\r\n") == breaks else "\n"
        self.lines = text.split(self.newline)
        self._had_end = self.lines[-1] == ""
        if self._had_end:
            self.lines.pop()

    @property
    def exists(self) -> bool:
        """Whether the file was there when it was read."""
        return self._before is not None

    def end_line(self) -> bool:
        """See to it that the last line ends; return whether it did not."""
        was_open, self._had_end = not self._had_end and bool(self.lines), True
        return was_open

    def open_line(self) -> None:
        """Leave the last line without an end, as it was before ``end_line``."""
        self._had_end = False

    def save(self, *, clock: Callable[[], float] = time.time) -> Path | None:
        """Write the file if it changed, and return the copy of what it was; None when there is none.

        Raises:
            PlacementError: it cannot be written; then it is as it was.
        """
        text = self.newline.join([*self.lines, ""] if self._had_end and self.lines else self.lines)
        after = text.encode("utf-8", "surrogateescape")
        if after == (self._before or b""):
            return None
        try:
            copy = self._back_up(clock) if self.exists else None
            replace_file(self.path, after)
        except OSError as error:
            raise PlacementError(f"{show_path(self.path)} cannot be written: {error.strerror}") from error
        self._before = after
        return copy

    def _back_up(self, clock: Callable[[], float]) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(clock()))
        for number in range(1, 1000):
            copy = self.path.with_name(f"{self.path.name}{MARK}{stamp}" + (f"-{number}" if number > 1 else ""))
            if not copy.exists():
                break
        shutil.copy2(self.path, copy)
        return copy


def backups_of(path: Path) -> list[Path]:
    """Return the copies that were made of a file, oldest first."""
    return sorted(path.parent.glob(f"{path.name}{MARK}*"))


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PlacementError(f"{show_path(path)} cannot be read: {error.strerror}") from error
    if b"\0" in content:
        raise PlacementError(
            f"{show_path(path)} is not written as REAPER writes it", remedy="save it as UTF-8, or put it aside"
        )
    return content


SECTION = "[reaper]"
ENABLED = "reascript"
FOLDER = "pythonlibpath64"
LIBRARY = "pythonlibdll64"

OLDEST = (3, 8)
"""Version of Python that the scripts need."""

UNSAID = (0, 0)
"""Version of a library whose name says none."""

_VERSION = re.compile(r"python([23])\.?(\d+)", re.IGNORECASE)


def get(file: TextFile, key: str) -> str | None:
    """Return the value of a key of section ``reaper``; None when it is not there."""
    number = _find(file.lines, key)
    return None if number is None else file.lines[number].partition("=")[2].strip()


def put(file: TextFile, key: str, value: str | None) -> None:
    """Set a key of section ``reaper``, or take it out."""
    number = _find(file.lines, key)
    if number is not None:
        name, _, rest = file.lines[number].partition("=")
        end = "\r" if rest.endswith("\r") else ""
        file.lines[number : number + 1] = [] if value is None else [f"{name}={value}{end}"]
    elif value is not None:
        file.lines.insert(_section_start(file) + 1, f"{key}={value}")


def library_of(file: TextFile) -> Path | None:
    """Return the library that REAPER loads; None where Python is off, or the keys name none that can do."""
    folder, name = get(file, FOLDER) or "", get(file, LIBRARY) or ""
    # A full path in the key of the name is the commonest mistake, and REAPER does not accept it.
    is_bare = "/" not in name and "\\" not in name and is_new_enough(name)
    is_there = get(file, ENABLED) == "1" and is_bare and bool(folder) and Path(folder, name).is_file()
    return Path(folder, name) if is_there else None


def is_new_enough(library: str) -> bool:
    """Tell whether a library is of Python 3.8 or later by its name; true for a name that says no version."""
    if library.lower() == "python3.dll":
        return False
    version = version_of(library)
    return bool(library) and (version == UNSAID or version >= OLDEST)


def version_of(library: str) -> tuple[int, int]:
    """Return the version that a library's name says."""
    found = _VERSION.search(library)
    return (int(found[1]), int(found[2])) if found else UNSAID


def _find(lines: list[str], key: str) -> int | None:
    is_inside = False
    for number, line in enumerate(lines):
        words = line.strip().lstrip("\ufeff")
        if words.startswith("["):
            is_inside = words.lower() == SECTION
        elif is_inside and words.partition("=")[0].strip().lower() == key:
            return number
    return None


def _section_start(file: TextFile) -> int:
    for number, line in enumerate(file.lines):
        if line.strip().lstrip("\ufeff").lower() == SECTION:
            return number
    file.lines.append(SECTION)
    return len(file.lines) - 1
