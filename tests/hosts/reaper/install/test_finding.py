"""Finding REAPER, its processes and a Python library."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from stembridge_reaper.install.places import find_resource_path, usual_resource_paths
from stembridge_reaper.install.processes import is_reaper_running, process_names
from stembridge_reaper.install.python_library import check_library, find_library

from plugin_core.errors import UsageError


@pytest.mark.parametrize(
    ("platform", "environ", "first"),
    [
        ("win32", {"APPDATA": "/roaming"}, "/roaming/REAPER"),
        ("darwin", {}, "/home/me/Library/Application Support/REAPER"),
        ("linux", {}, "/home/me/.config/REAPER"),
        ("linux", {"XDG_CONFIG_HOME": "/conf"}, "/conf/REAPER"),
    ],
)
def test_usual_places(platform: str, environ: dict[str, str], first: str) -> None:
    assert usual_resource_paths(environ, platform, Path("/home/me"))[0] == Path(first)


def test_resource_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="start REAPER once"):
        find_resource_path(None, {"XDG_CONFIG_HOME": str(tmp_path), "APPDATA": str(tmp_path)})
    with pytest.raises(UsageError, match="is no folder"):
        find_resource_path(tmp_path / "gone", {})
    assert find_resource_path(tmp_path, {}) == tmp_path


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["init", "reaper"], True),
        (["REAPER.exe"], True),
        (["reaper64"], True),
        (["reaper-worker"], False),
    ],
)
def test_running_reaper_is_seen(names: list[str], found: bool) -> None:
    assert is_reaper_running(lambda: names) is found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_are_listed() -> None:
    assert Path(f"/proc/{os.getpid()}/comm").read_text().strip() in process_names()


@pytest.mark.parametrize(
    ("platform", "variables", "file"),
    [
        ("win32", {}, "python312.dll"),
        ("darwin", {}, "lib/libpython3.12.dylib"),
        ("linux", {"INSTSONAME": "libpython3.12.so.1.0"}, "lib/libpython3.12.so.1.0"),
        ("linux", {"INSTSONAME": "libpython3.12.a"}, "lib64/libpython3.12.so.1.0"),
        ("linux", {"MULTIARCH": "x86_64-linux-gnu"}, "lib/x86_64-linux-gnu/libpython3.12.so.1.0"),
    ],
)
def test_library_of_each_system(tmp_path: Path, platform: str, variables: dict[str, str], file: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert find_library(platform, tmp_path, variables, (3, 12)) == path


def test_python_without_a_library(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--python-library"):
        find_library("linux", tmp_path, {}, (3, 12))


@pytest.mark.parametrize("name", ["python3.11", "passwd", "python3.11.exe"])
def test_what_is_no_library_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UsageError, match="is no library"):
        check_library(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["libpython3.11.so.1.0", "libpython3.so", "python311.dll", "libpython3.12.dylib", "Python"]
)
def test_library_that_is_named_is_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert check_library(tmp_path / name) == tmp_path / name
