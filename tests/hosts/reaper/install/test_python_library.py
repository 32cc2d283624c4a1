"""Finding REAPER, its processes and a Python library."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from stembridge_reaper.install.python_library import (
    Build,
    advise,
    check_library,
    find_library,
    libraries_of,
    list_installed,
)
from stembridge_reaper.install.reaper_ini import (
    find_resource_path,
    is_reaper_running,
    process_names,
    usual_resource_paths,
)
from stembridge_reaper.install.trial import Trial

from plugin_core.errors import UsageError


def make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


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
    ("platform", "built", "file"),
    [
        ("win32", {}, "python312.dll"),
        ("darwin", {}, "lib/libpython3.12.dylib"),
        ("linux", {"name": "libpython3.12.so.1.0"}, "lib/libpython3.12.so.1.0"),
        ("linux", {"name": "libpython3.12.a"}, "lib64/libpython3.12.so.1.0"),
        ("linux", {"multiarch": "x86_64-linux-gnu"}, "lib/x86_64-linux-gnu/libpython3.12.so.1.0"),
    ],
)
def test_library_of_each_system(tmp_path: Path, platform: str, built: dict[str, str], file: str) -> None:
    path = make(tmp_path / file)
    candidates = libraries_of(Build(str(tmp_path), "3.12", **built), platform)
    assert find_library(lambda: candidates, lambda _: Trial())[0] == path


@pytest.mark.parametrize(
    ("platform", "files"),
    [
        (
            "linux",
            [
                "usr/local/lib/libpython3.13.so.1.0",
                "usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0",
                "usr/lib64/libpython3.9.so.1.0",
            ],
        ),
        (
            "darwin",
            [
                "Library/Frameworks/Python.framework/Versions/3.12/lib/libpython3.12.dylib",
                "Library/Frameworks/Python.framework/Versions/3.9/lib/libpython3.9.dylib",
            ],
        ),
        (
            "win32",
            [
                "Users/me/AppData/Local/Programs/Python/Python313/python313.dll",
                "Program Files/Python39/python39.dll",
            ],
        ),
    ],
)
def test_libraries_of_systems_and_installers_are_found_the_newest_first(
    tmp_path: Path, platform: str, files: list[str]
) -> None:
    paths = [make(tmp_path / file) for file in files]
    make(paths[0].with_name("python3.dll"))
    assert list_installed(platform, tmp_path) == paths


def test_the_first_library_that_passes_its_trial_is_chosen(tmp_path: Path) -> None:
    names = ["libpython3.13.so.1.0", "libpython3.7.so.1.0", "libpython3.12.so.1.0", "libpython3.11.so.1.0"]
    paths = [make(tmp_path / name) for name in names]
    tried = []

    def attempt(path: Path) -> Trial:
        tried.append(path)
        return Trial("it would end REAPER" if "3.13" in path.name else "")

    assert find_library(lambda: [tmp_path / "gone.so", *paths], attempt)[0] == paths[2]
    assert tried == [paths[0], paths[2]]


DEBIAN, UBUNTU = {"ID": "debian"}, {"ID": "pop", "ID_LIKE": "ubuntu debian"}


@pytest.mark.parametrize(
    ("platform", "release", "version", "told"),
    [
        ("linux", DEBIAN, "3.11", "sudo apt install libpython3.11,"),
        ("linux", UBUNTU, "3.12", "sudo apt install libpython3.12,"),
        ("linux", DEBIAN, "", "sudo apt install libpython3-dev,"),
        ("linux", {"ID": "fedora"}, "3.13", "sudo dnf install python3-libs,"),
        ("linux", {"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "3.9", "sudo dnf install python3-libs,"),
        ("linux", {"ID": "manjaro", "ID_LIKE": "arch"}, "3.13", "sudo pacman -S python,"),
        (
            "linux",
            {"ID": "opensuse-leap", "ID_LIKE": "suse opensuse"},
            "3.11",
            "sudo zypper install libpython3_11-1_0,",
        ),
        ("linux", {}, "3.11", "install the package that holds libpython3.11.so.1.0,"),
        ("darwin", {}, "", "install Python 3 from https://www.python.org/downloads/,"),
        ("win32", {}, "", "install Python 3 from https://www.python.org/downloads/,"),
    ],
)
def test_the_exact_package_is_named(platform: str, release: dict[str, str], version: str, told: str) -> None:
    assert advise(version, platform, lambda: release) == f"{told} or give a library with --python-library"


def test_python_without_a_library(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--python-library"):
        find_library(lambda: [tmp_path / "libpython3.12.so.1.0"])
    bad = make(tmp_path / "libpython3.12.so.1.0")
    with pytest.raises(UsageError, match=r"libpython3\.12\.so\.1\.0: it would end REAPER"):
        find_library(lambda: [bad], lambda _: Trial("it would end REAPER"))


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
    assert check_library(tmp_path / name, lambda _: Trial())[0] == tmp_path / name
    with pytest.raises(UsageError, match=f"{name} will not do: it would end REAPER"):
        check_library(tmp_path / name, lambda _: Trial("it would end REAPER"))
