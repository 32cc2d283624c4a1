"""Finding the Python library that REAPER loads: of a base installation, never of a virtual environment."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from plugin_core.errors import UsageError
from plugin_core.model import show_path
from stembridge_reaper.install.reaper_ini import is_new_enough

_ADVICE = "install Python 3 from its own site or your system's packages and give its library with --python-library"

_EXAMPLE = "give the library itself, libpython3.11.so.1.0 for example"
_LIBRARY = re.compile(r"\.so(\.|$)|\.dylib$|\.dll$|^Python$", re.IGNORECASE)
"""Names of shared libraries; that of a framework of macOS is ``Python``. The interpreter itself will not do."""


def find_library(
    platform: str = sys.platform,
    base: Path | None = None,
    variables: Mapping[str, str | int | None] | None = None,
    version: tuple[int, int] | None = None,
) -> Path:
    """Return the shared library of the base installation below this interpreter.

    Args:
        platform: as ``sys.platform``.
        base: the base installation's folder.
        variables: how Python was built, as ``sysconfig`` says.
        version: major and minor.

    Raises:
        UsageError: this Python has none.
    """
    base = base or Path(sys.base_prefix)
    major, minor = version or (sys.version_info[0], sys.version_info[1])
    known = sysconfig.get_config_vars() if variables is None else variables
    for path in _candidates(platform, base, known, f"{major}.{minor}"):
        if path.is_file():
            return path
    raise UsageError(f"the Python in {show_path(base)} has no shared library, which REAPER needs", remedy=_ADVICE)


def check_library(path: Path) -> Path:
    """Return a library that was named.

    Raises:
        UsageError: it is no file, of a Python before 3.8, or ``python3.dll``, which holds too little.
    """
    if not path.is_file():
        raise UsageError(f"{show_path(path)} is no file", remedy=_EXAMPLE)
    if not _LIBRARY.search(path.name):
        raise UsageError(f"{path.name} is no library", remedy=_EXAMPLE)
    if not is_new_enough(path.name):
        raise UsageError(
            f"{path.name} is not a library that the scripts can run with", remedy="give that of a Python from 3.8 on"
        )
    return path.absolute()


def _candidates(platform: str, base: Path, known: Mapping[str, str | int | None], version: str) -> list[Path]:
    if platform == "win32":
        return [base / f"python{version.replace('.', '')}.dll"]
    if platform == "darwin":
        return [base / "lib" / f"libpython{version}.dylib"]
    folders = [Path(str(known.get("LIBDIR") or base / "lib")), base / "lib", base / "lib64"]
    multiarch = known.get("MULTIARCH")
    if multiarch:
        folders.append(base / "lib" / str(multiarch))
    names = [str(known.get("INSTSONAME") or ""), f"libpython{version}.so.1.0"]
    return [folder / name for folder in folders for name in names if ".so" in name]
