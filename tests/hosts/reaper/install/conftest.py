"""Real Python libraries of this machine; what needs one that is not here is skipped."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from stembridge_reaper.install.python_library import Build, find_library, libraries_of

from plugin_core.errors import UsageError


@pytest.fixture(scope="session")
def python_library() -> Path:
    """Return the library that the installer chooses here."""
    try:
        return find_library()[0]
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def debian_library() -> Path:
    """Return the library of the system's own Python on Debian and its like."""
    found = sorted(Path("/usr/lib").glob("*-linux-gnu*/libpython3.*.so.1.0"))
    if not found:
        pytest.skip("needs Debian's libpython3")
    return found[-1]


@pytest.fixture(scope="session")
def own_library() -> Path:
    """Return the shared library of a Python that was built below a folder of its own, as pyenv does."""
    build = Build(sys.base_prefix, f"{sys.version_info[0]}.{sys.version_info[1]}")
    found = [path for path in libraries_of(build, "linux") if path.is_file()]
    if not sys.platform.startswith("linux") or sys.base_prefix in ("/usr", "/usr/local") or not found:
        pytest.skip("needs an interpreter with a shared library in a folder of its own")
    return found[0]
