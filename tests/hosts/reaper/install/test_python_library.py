"""Finding REAPER, its processes and a Python library."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stembridge_reaper.install.actions import SOURCES
from stembridge_reaper.install.diagnosis import examine
from stembridge_reaper.install.python_library import (
    MODULES,
    SYSTEM_PYTHON,
    Build,
    Trial,
    advise,
    check_library,
    find_library,
    libraries_of,
    list_candidates,
    list_installed,
    try_library,
)
from stembridge_reaper.install.reaper_ini import (
    find_resource_path,
    is_reaper_running,
    process_names,
    usual_resource_paths,
)
from stembridge_reaper.install.setup import install

from plugin_core.errors import UsageError
from plugin_core.model import Finding, Verdict
from plugin_core.settings import Settings


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


pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("perl") is None, reason="Linux tries libraries by perl"
)

SYSTEM = f"{sys.version_info[0]}.{sys.version_info[1]}"


def moved(library: Path, folder: Path) -> Path:
    """Return the library of a build that was moved after it was made: its own modules are not where it looks."""
    inside, away = (os.fsencode(prefix) for prefix in (sys.base_prefix, f"{sys.base_prefix[:-1]}~"))
    content = library.read_bytes()
    assert inside in content
    path = folder / library.name
    path.write_bytes(content.replace(inside, away))
    return path


def is_mixed(library: Path) -> bool:
    """Tell whether a desktop finds a Python of the library's version that is not the library's own."""
    done = subprocess.run([SYSTEM_PYTHON, "-V"], capture_output=True, text=True, check=False)
    return f"Python {SYSTEM}." in done.stdout and f"python{SYSTEM}." in library.name


def python_finding(resource_path: Path) -> Finding:
    (found,) = [one for one in examine(resource_path, Settings(), is_running=bool) if one.name == "Python"]
    return found


def test_debians_library_passes_and_is_preferred(debian_library: Path) -> None:
    assert try_library(debian_library) == Trial()
    assert find_library()[0] == next(path for path in list_candidates() if path.is_file())
    assert "/usr/" in str(find_library()[0])


def test_a_desktop_gives_nothing_of_the_shell_it_is_tried_from(
    debian_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment that is on, and variables of another Python, are not what REAPER is started with."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (tmp_path / "json.py").write_text("raise SystemExit('of the folder')")
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("PATH", str(tmp_path / "venv" / "bin")),
        ("VIRTUAL_ENV", str(tmp_path / "venv")),
        ("PYTHONHOME", "/of/another"),
        ("PYTHONPATH", str(tmp_path)),
        ("LD_LIBRARY_PATH", sys.base_prefix),
    ):
        monkeypatch.setenv(name, value)
    assert try_library(debian_library) == Trial()


def test_a_virtual_environment_has_no_library_of_its_own(tmp_path: Path, debian_library: Path) -> None:
    """That of its base is looked at; a link to a good one is as good."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    asked = "from stembridge_reaper.install.python_library import *; print(*list_candidates(), sep='\\n')"
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [venv / "bin" / "python", "-c", asked], capture_output=True, text=True, env={"PYTHONPATH": path}, check=True
    )
    assert done.stdout.strip()
    assert str(venv) not in done.stdout
    link = venv / "lib" / debian_library.name
    link.symlink_to(debian_library)
    assert check_library(link) == (link, Trial())


def test_a_build_in_a_folder_of_its_own_is_refused_where_it_would_mix_with_the_systems_python(
    own_library: Path,
) -> None:
    fault = try_library(own_library).fault
    if is_mixed(own_library):
        assert fault.startswith("it takes the standard library of another Python, /usr/lib")
        assert str(own_library.parent) in fault
        with pytest.raises(UsageError, match="will not do: it takes the standard library of another Python"):
            check_library(own_library)
    else:
        assert fault == ""


def test_a_moved_build_is_refused(own_library: Path, tmp_path: Path) -> None:
    fault = try_library(moved(own_library, tmp_path)).fault
    told = "has none of its own" if is_mixed(own_library) else "it would end REAPER: ModuleNotFoundError"
    assert told in fault


def test_a_copied_library_that_finds_its_own_modules_passes(debian_library: Path, tmp_path: Path) -> None:
    assert try_library(Path(shutil.copy(debian_library, tmp_path))) == Trial()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a text that is called a library, " * 100, "it cannot be loaded: invalid ELF header"),
        (b"", "it cannot be loaded: file too short"),
        (None, "it is no library of Python from 3.8 on: it has no Py_Initialize"),
    ],
    ids=["text", "empty", "another library"],
)
def test_a_file_that_is_named_like_a_library_is_refused(content: bytes | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / "libpython3.11.so.1.0"
    if content is None:
        others = sorted(Path("/usr/lib").glob("*-linux-gnu*/libz.so.1"))
        if not others:
            pytest.skip("needs zlib")
        shutil.copy(others[0], path)
    else:
        path.write_bytes(content)
    assert try_library(path) == Trial(told)
    with pytest.raises(UsageError, match="will not do"):
        check_library(path)


def test_a_library_that_ends_its_process_ends_not_this_one(debian_library: Path, tmp_path: Path) -> None:
    path = tmp_path / debian_library.name
    path.write_bytes(debian_library.read_bytes()[:2_000_000])
    assert try_library(path).fault.startswith("it would end REAPER: it ended its process (")


def test_without_perl_a_library_is_not_tried(debian_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert try_library(debian_library) == Trial(is_done=False)


def test_install_replaces_a_library_that_fails_and_doctor_says_the_same(python_library: Path, tmp_path: Path) -> None:
    bad = tmp_path / "libpython3.11.so.1.0"
    bad.write_text("a text file")
    ini = tmp_path / "reaper.ini"
    ini.write_text(f"[reaper]\nreascript=1\npythonlibpath64={tmp_path}\npythonlibdll64={bad.name}\n")
    (tmp_path / "Scripts" / "stembridge").mkdir(parents=True)
    (tmp_path / "Scripts" / "stembridge" / "stembridge_jobs.py").touch()
    before = python_finding(tmp_path)
    assert (before.verdict, "will not do: it cannot be loaded" in before.found) == (Verdict.WRONG, True)
    assert f"Python: {python_library}" in install(tmp_path, Settings(), launcher="python", is_running=bool)
    after = python_finding(tmp_path)
    assert (after.verdict, after.found) == (Verdict.OK, str(python_library))
    written = ini.read_bytes()
    assert "Python: left as it is" in install(tmp_path, Settings(), launcher="python", is_running=bool)
    assert ini.read_bytes() == written


def test_a_named_library_that_fails_changes_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "libpython3.11.so.1.0"
    bad.write_text("a text file")
    with pytest.raises(UsageError, match="will not do: it cannot be loaded"):
        install(tmp_path, Settings(), str(bad), "python", is_running=bool)
    assert list(tmp_path.iterdir()) == [bad]


def test_a_trial_imports_what_the_scripts_import() -> None:
    """``ctypes`` is for REAPER's own module."""
    wanted = {"ctypes"}
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="ascii"))):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                wanted.add(node.module)
    ours = {"__future__", "reaper_python", "stembridge_scripts"}
    assert {name.partition(".")[0] for name in wanted - ours} == {name.partition(".")[0] for name in MODULES}
