"""Choosing the Python library that REAPER loads: one that was tried, the system's own first; and what to install."""

from __future__ import annotations

import platform as machine
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.errors import UsageError
from plugin_core.model import show_path
from stembridge_reaper.install.reaper_ini import is_new_enough, version_of
from stembridge_reaper.install.trial import Trial, try_library

_SITE: Final = "install Python 3 from https://www.python.org/downloads/"
_NAMED: Final = "or give a library with --python-library"


def advise(
    version: str,
    platform: str = sys.platform,
    release: Callable[[], Mapping[str, str]] = machine.freedesktop_os_release,
) -> str:
    """Return the remedy where no Python library will do.

    Args:
        version: of the system's own Python, ``3.11``; empty where it has none.
        platform: as ``sys.platform``.
        release: what ``os-release`` says.
    """
    return f"{_install(version, release) if platform == 'linux' else _SITE}, {_NAMED}"


def _install(version: str, release: Callable[[], Mapping[str, str]]) -> str:
    try:
        about = release()
    except OSError:
        about = {}
    for name in (about.get("ID", ""), *about.get("ID_LIKE", "").split()):
        match name:
            case "debian" | "ubuntu":
                return f"sudo apt install {f'libpython{version}' if version else 'libpython3-dev'}"
            case "fedora" | "rhel" | "centos":
                return "sudo dnf install python3-libs"
            case "arch":
                return "sudo pacman -S python"
            case "suse" | "opensuse":
                package = f"libpython{version.replace('.', '_')}-1_0" if version else "python3-devel"
                return f"sudo zypper install {package}"
    return f"install the package that holds libpython{version or '3'}.so.1.0"


Attempt = Callable[[Path], Trial]

SYSTEM_PYTHON: Final = Path("/usr/bin/python3")
"""Its library finds its modules whatever a desktop's PATH is: it is the one that is found there."""

_EXAMPLE: Final = "give the library itself, libpython3.11.so.1.0 for example"
_LIBRARY: Final = re.compile(r"\.so(\.|$)|\.dylib$|\.dll$|^Python$", re.IGNORECASE)
"""Names of shared libraries; that of a framework of macOS is ``Python``. The interpreter itself will not do."""

_ASK: Final = """
import sys, sysconfig
words = map(sysconfig.get_config_var, ("LIBDIR", "MULTIARCH", "INSTSONAME"))
print(sys.base_prefix, "%d.%d" % sys.version_info[:2], *(word or "" for word in words), sep="\\n")
"""

_PLACES: Final = {
    "linux": ("usr/lib/*-linux-gnu*", "usr/lib64", "usr/lib", "usr/local/lib", "usr/local/lib64"),
    "darwin": ("Library/Frameworks/Python.framework/Versions/3.*/lib", "opt/homebrew/lib", "usr/local/lib"),
    "win32": ("Users/*/AppData/Local/Programs/Python/Python3*", "Program Files/Python3*", "Python3*"),
}
"""Where systems and installers put Python, below the root of the disk."""

_NAMES: Final = {"linux": "libpython3.*.so.1.0", "darwin": "libpython3.*.dylib", "win32": "python3?*.dll"}


class Build(msgspec.Struct, frozen=True):
    """How a Python was built, as far as its library follows from it."""

    base: str
    """Folder of the base installation, never of a virtual environment."""
    version: str
    """Major and minor: ``3.11``."""
    folder: str = ""
    multiarch: str = ""
    name: str = ""
    """Of its library, where it has one."""


def find_library(
    candidates: Callable[[], Iterable[Path]] | None = None, attempt: Attempt = try_library, platform: str = sys.platform
) -> tuple[Path, Trial]:
    """Return the first library in which the scripts can run, and how it did.

    Args:
        candidates: libraries that may or may not be there, the best first; default those of this machine.
        attempt: tries one.
        platform: as ``sys.platform``.

    Raises:
        UsageError: there is none; names what to install.
    """
    faults = []
    for path in dict.fromkeys(candidates() if candidates else list_candidates(platform)):
        if not path.is_file() or not is_new_enough(path.name):
            continue
        trial = attempt(path)
        if not trial.fault:
            return path, trial
        faults.append(f"{show_path(path)}: {trial.fault}")
    told = ": ".join(["no Python library here can run REAPER's scripts", *filter(None, ["; ".join(faults)])])
    raise UsageError(told, remedy=advise(_system_version(), platform))


def check_library(path: Path, attempt: Attempt = try_library) -> tuple[Path, Trial]:
    """Return a library that was named, and how it did.

    Raises:
        UsageError: it is no file, of a Python before 3.8, ``python3.dll``, which holds too little, or the scripts
            cannot run in it.
    """
    if not path.is_file():
        raise UsageError(f"{show_path(path)} is no file", remedy=_EXAMPLE)
    if not _LIBRARY.search(path.name):
        raise UsageError(f"{path.name} is no library", remedy=_EXAMPLE)
    if not is_new_enough(path.name):
        raise UsageError(
            f"{path.name} is not a library that the scripts can run with", remedy="give that of a Python from 3.8 on"
        )
    path = path.absolute()
    trial = attempt(path)
    if trial.fault:
        raise UsageError(f"{show_path(path)} will not do: {trial.fault}", remedy="leave --python-library out")
    return path, trial


def list_candidates(platform: str = sys.platform, root: Path | None = None) -> Iterator[Path]:
    """Yield where libraries may be, the best first: the system's own, installed ones, that of this interpreter."""
    system = _ask(SYSTEM_PYTHON) if platform == "linux" else None
    if system is not None:
        yield from libraries_of(system, platform)
    yield from list_installed(platform, root or Path(Path(sys.base_prefix).anchor))
    yield from libraries_of(_own_build(), platform)


def list_installed(platform: str, root: Path) -> list[Path]:
    """Return the libraries that lie where systems and installers put them, the newest first."""
    kind = platform if platform in _PLACES else "linux"
    found = [path for place in _PLACES[kind] for path in sorted(root.glob(f"{place}/{_NAMES[kind]}"))]
    return sorted(found, key=lambda path: version_of(path.name), reverse=True)


def libraries_of(build: Build, platform: str) -> list[Path]:
    """Return where the library of a Python may be."""
    base = Path(build.base)
    if platform == "win32":
        return [base / f"python{build.version.replace('.', '')}.dll"]
    if platform == "darwin":
        return [base / "lib" / f"libpython{build.version}.dylib"]
    folders = [Path(build.folder or base / "lib"), base / "lib", base / "lib64"]
    if build.multiarch:
        folders.append(base / "lib" / build.multiarch)
    names = [build.name, f"libpython{build.version}.so.1.0"]
    return [folder / name for folder in folders for name in names if ".so" in name]


def _own_build() -> Build:
    words = (str(sysconfig.get_config_var(name) or "") for name in ("LIBDIR", "MULTIARCH", "INSTSONAME"))
    return Build(sys.base_prefix, f"{sys.version_info[0]}.{sys.version_info[1]}", *words)


def _ask(interpreter: Path) -> Build | None:
    """Return how an interpreter was built; None where it is not there or does not answer."""
    try:
        done = subprocess.run([interpreter, "-I", "-c", _ASK], capture_output=True, check=True, timeout=60)
        return Build(*done.stdout.decode().splitlines())
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError, TypeError):
        return None


def _system_version() -> str:
    system = _ask(SYSTEM_PYTHON)
    return system.version if system is not None else ""
