"""Real libraries in throw-away processes: what REAPER would do with them, and that nothing of it ends this process."""

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
from stembridge_reaper.install.python_library import SYSTEM_PYTHON, check_library, find_library, list_candidates
from stembridge_reaper.install.setup import install
from stembridge_reaper.install.trial import MODULES, Trial, try_library

from plugin_core.errors import UsageError
from plugin_core.model import Finding, Verdict
from plugin_core.settings import Settings

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
