"""The keys of reaper.ini that switch Python on."""

from __future__ import annotations

import re
from pathlib import Path

from stembridge_reaper.install.text_file import TextFile

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
