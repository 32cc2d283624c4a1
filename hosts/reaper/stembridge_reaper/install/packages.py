"""What to install for a Python library, on this system."""

from __future__ import annotations

import platform as machine
import sys
from collections.abc import Callable, Mapping
from typing import Final

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
