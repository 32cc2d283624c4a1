from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from stembridge_reaper.install.actions import Launcher, preset_actions
from stembridge_reaper.install.diagnosis import examine
from stembridge_reaper.install.python_library import Trial
from stembridge_reaper.install.reaper_ini import backups_of
from stembridge_reaper.install.setup import install, uninstall

from plugin_core.errors import PlacementError, UsageError
from plugin_core.files.placement import replace_file
from plugin_core.presets import Preset, load_presets
from plugin_core.settings import Settings

KEYMAP = (
    "KEY 1 65 _RS0553418e5dfcd22c2794631fdf96b1d031f00767 0\r\n"
    'SCR 4 0 RS477ea43171bd3f5c0f7a71ff683053d38fa3466a "Custom: s\xe9parate.py" STEMS/separate.py\r\n'
).encode("latin-1")
INI = (
    "\ufeff[other]\nreascript=9\n[REAPER]\nlastcwd=/m\u00fcsik\nreascript=0\npythonlibdll64=/usr/lib/libpython3.8.so\n"
)


@pytest.fixture
def resource_path(tmp_path: Path) -> Path:
    """A REAPER that was used: CRLF and bytes that are not UTF-8 in one file, a byte order mark in the other."""
    folder = tmp_path / "RE\u00c4PER"
    folder.mkdir()
    (folder / "reaper-kb.ini").write_bytes(KEYMAP)
    (folder / "reaper.ini").write_text(INI, encoding="utf-8", newline="")
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "py" / "libpython3.11.so.1.0"
    path.parent.mkdir()
    path.touch()
    return path


def set_up(resource_path: Path, library: Path, python: str = "auto", settings: Settings | None = None) -> list[str]:
    """Install with a library that is none: trials of true ones are in test_python_library.py."""
    return install(
        resource_path,
        settings or Settings(),
        python,
        launcher="python",
        is_running=lambda: False,
        find=lambda: (library, Trial()),
        attempt=lambda _: Trial(),
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_install_registers_actions_by_their_hash_and_keeps_the_rest(resource_path: Path, library: Path) -> None:
    set_up(resource_path, library)
    written = (resource_path / "reaper-kb.ini").read_bytes()
    assert written.startswith(KEYMAP)
    assert written.count(b"\n") == written.count(b"\r\n")
    added = written[len(KEYMAP) :].decode().split("\r\n")[:-1]
    assert len(added) == 6 + len(load_presets(Settings()))
    for line in added:
        words = line.split(" ")
        assert words[:3] == ["SCR", "516", "0"]
        assert words[3] == "RS" + hashlib.sha1(words[-1].upper().encode()).hexdigest()
        assert (resource_path / "Scripts" / words[-1]).is_file()
    assert any('"Custom: stembridge: Separate selected items (Everything but the drums)"' in line for line in added)


def test_install_switches_python_on_in_the_right_section(resource_path: Path, library: Path) -> None:
    set_up(resource_path, library)
    lines = (resource_path / "reaper.ini").read_text(encoding="utf-8").split("\n")
    assert lines[:2] == ["\ufeff[other]", "reascript=9"]
    assert lines[2:] == [
        "[REAPER]",
        f"pythonlibpath64={library.parent}",
        "lastcwd=/m\u00fcsik",
        "reascript=1",
        "pythonlibdll64=libpython3.11.so.1.0",
        "",
    ]


def test_working_python_is_left_alone(resource_path: Path, library: Path, tmp_path: Path) -> None:
    own = tmp_path / "own" / "libpython3.9.so"
    own.parent.mkdir()
    own.touch()
    text = f"[reaper]\nreascript=1\npythonlibpath64={own.parent}\npythonlibdll64={own.name}\n"
    (resource_path / "reaper.ini").write_text(text)
    set_up(resource_path, library)
    assert (resource_path / "reaper.ini").read_text() == text
    set_up(resource_path, library, str(library))
    assert str(library.parent) in (resource_path / "reaper.ini").read_text()


def test_second_install_changes_nothing(resource_path: Path, library: Path) -> None:
    set_up(resource_path, library)
    before = contents(resource_path)
    set_up(resource_path, library)
    assert contents(resource_path) == before
    assert len(backups_of(resource_path / "reaper.ini")) == len(backups_of(resource_path / "reaper-kb.ini")) == 1


@pytest.mark.parametrize("ending", [b"", b"\r\n"], ids=["open last line", "ended last line"])
def test_uninstall_puts_everything_back(resource_path: Path, library: Path, ending: bytes) -> None:
    (resource_path / "reaper-kb.ini").write_bytes(KEYMAP.rstrip(b"\r\n") + ending)
    before = contents(resource_path)
    set_up(resource_path, library)
    set_up(resource_path, library)
    uninstall(resource_path, is_running=lambda: False)
    assert contents(resource_path) == before


def test_uninstall_of_a_reaper_without_settings_leaves_nothing(tmp_path: Path, library: Path) -> None:
    set_up(tmp_path / "py", library)
    uninstall(tmp_path / "py", is_running=lambda: False)
    assert contents(tmp_path / "py") == {library.name: b""}
    assert uninstall(tmp_path / "py", is_running=lambda: False) == ["nothing was installed"]


def test_uninstall_keeps_what_the_user_changed_since(resource_path: Path, library: Path) -> None:
    set_up(resource_path, library)
    ini = resource_path / "reaper.ini"
    ini.write_text(
        ini.read_text(encoding="utf-8").replace("libpython3.11.so.1.0", "libpython3.12.so"), encoding="utf-8"
    )
    keymap = resource_path / "reaper-kb.ini"
    keymap.write_bytes(keymap.read_bytes() + b"KEY 1 66 40001 0\r\n")
    uninstall(resource_path, is_running=lambda: False)
    assert "pythonlibdll64=libpython3.12.so\n" in ini.read_text(encoding="utf-8")
    assert keymap.read_bytes() == KEYMAP + b"KEY 1 66 40001 0\r\n"
    assert len(backups_of(keymap)) == 2


def test_backups_hold_what_was(resource_path: Path, library: Path) -> None:
    set_up(resource_path, library)
    assert [path.read_bytes() for path in backups_of(resource_path / "reaper-kb.ini")] == [KEYMAP]
    assert [path.read_text(encoding="utf-8") for path in backups_of(resource_path / "reaper.ini")] == [INI]


def test_preset_that_is_gone_loses_its_action(resource_path: Path, library: Path, home: Path) -> None:
    config = home / "config.toml"
    config.write_text('[presets.my-own]\noperations = [{ kind = "separation" }]\n', encoding="utf-8")
    set_up(resource_path, library)
    script = resource_path / "Scripts" / "stembridge" / "stembridge_preset_my_own.py"
    assert script.exists()
    assert b"stembridge_preset_my_own.py" in (resource_path / "reaper-kb.ini").read_bytes()
    config.unlink()
    set_up(resource_path, library)
    assert not script.exists()
    assert b"stembridge_preset_my_own.py" not in (resource_path / "reaper-kb.ini").read_bytes()


def test_configuration_names_an_interpreter_that_has_stembridge(resource_path: Path, library: Path, home: Path) -> None:
    set_up(resource_path, library)
    document = json.loads((resource_path / "Scripts" / "stembridge" / "stembridge.json").read_text(encoding="ascii"))
    assert document["home"] == str(home)
    assert [preset["name"] for preset in document["presets"]][:2] == ["four-stems", "vocals"]
    done = subprocess.run([document["python"], *document["arguments"], "--version"], capture_output=True, check=True)
    assert done.stdout.startswith(b"stembridge ")
    assert document["python"] == str(Path(sys.executable).absolute())


def test_nothing_is_touched_while_reaper_runs(resource_path: Path, library: Path) -> None:
    before = contents(resource_path)
    with pytest.raises(UsageError, match="close REAPER"):
        install(resource_path, Settings(), is_running=lambda: True)
    with pytest.raises(UsageError, match="close REAPER"):
        uninstall(resource_path, is_running=lambda: True)
    assert contents(resource_path) == before


@pytest.mark.parametrize("wish", ["/gone/libpython.so", "python3.dll"])
def test_library_that_will_not_do(resource_path: Path, library: Path, wish: str) -> None:
    before = contents(resource_path)
    (library.parent / "python3.dll").touch()
    with pytest.raises(UsageError):
        set_up(resource_path, library, str(library.parent / wish))
    assert contents(resource_path) == before


def test_what_others_put_beside_our_scripts_stays(resource_path: Path, library: Path) -> None:
    scripts = resource_path / "Scripts" / "stembridge"
    (scripts / "Items").mkdir(parents=True)
    for name in ("Items/stembridge_jobs.py", "mine.lua"):
        (scripts / name).write_text("theirs")
    keymap = resource_path / "reaper-kb.ini"
    keymap.write_bytes(KEYMAP + b'SCR 4 0 RSabc "Custom: mine" stembridge/mine.lua\r\n')
    before = contents(resource_path)
    set_up(resource_path, library)
    (scripts / "stembridge_scripts" / "__pycache__").mkdir()
    (scripts / "stembridge_scripts" / "__pycache__" / "api.pyc").touch()
    uninstall(resource_path, is_running=lambda: False)
    assert contents(resource_path) == before


def test_lines_may_end_in_two_ways(resource_path: Path, library: Path) -> None:
    ini = resource_path / "reaper.ini"
    before = b"[reaper]\nreascript=0\r\npythonlibpath64=/old\nlast=1\r\n"
    ini.write_bytes(before)
    set_up(resource_path, library)
    folder = str(library.parent).encode()
    assert ini.read_bytes() == (
        b"[reaper]\npythonlibdll64=" + library.name.encode() + b"\nreascript=1\r\npythonlibpath64=" + folder
        + b"\nlast=1\r\n"
    )  # fmt: skip
    uninstall(resource_path, is_running=lambda: False)
    assert ini.read_bytes() == before


@pytest.mark.parametrize("name", ["python27.dll", "libpython3.7m.so.1.0", "python3.dll", "python36.dll"])
def test_python_that_cannot_run_the_scripts_is_no_working_one(resource_path: Path, library: Path, name: str) -> None:
    (library.parent / name).touch()
    text = f"[reaper]\nreascript=1\npythonlibpath64={library.parent}\npythonlibdll64={name}\n"
    (resource_path / "reaper.ini").write_text(text)
    (resource_path / "Scripts" / "stembridge").mkdir(parents=True)
    (resource_path / "Scripts" / "stembridge" / "stembridge_jobs.py").touch()
    (finding,) = [one for one in examine(resource_path, Settings(), is_running=bool) if one.name == "Python"]
    assert finding.found == f"{name} is too old for the scripts, which need 3.8"
    set_up(resource_path, library)
    assert f"pythonlibdll64={library.name}\n" in (resource_path / "reaper.ini").read_text()
    with pytest.raises(UsageError, match=r"from 3\.8 on"):
        set_up(resource_path, library, str(library.parent / name))


def test_file_of_another_encoding_is_left_alone(resource_path: Path, library: Path) -> None:
    (resource_path / "reaper.ini").write_text("[reaper]\nreascript=0\n", encoding="utf-16")
    before = contents(resource_path)
    with pytest.raises(PlacementError, match=r"reaper\.ini is not written as REAPER writes it"):
        set_up(resource_path, library)
    assert contents(resource_path) == before


def test_install_that_fails_half_way_can_be_taken_back(
    resource_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(resource_path)

    def write(path: Path, content: bytes) -> None:
        if path.name == "reaper-kb.ini":
            raise OSError(28, "No space left on device")
        replace_file(path, content)

    with monkeypatch.context() as patched:
        patched.setattr("stembridge_reaper.install.reaper_ini.replace_file", write)
        with pytest.raises(PlacementError, match=r"reaper-kb\.ini cannot be written"):
            set_up(resource_path, library)
    assert (resource_path / "reaper.ini").read_bytes() != INI.encode()
    uninstall(resource_path, is_running=lambda: False)
    assert contents(resource_path) == before


def test_action_of_a_preset_keeps_its_id_whatever_else_there_is() -> None:
    presets = [Preset(name=name, operations=()) for name in ("my-own", "My Own", "my_own", "\u4eba\u58f0", "\u4f34")]
    there = {action.source.split("separate_by")[1]: action.id for action in preset_actions(presets, "python")}
    back = {action.source.split("separate_by")[1]: action.id for action in preset_actions(reversed(presets), "python")}
    assert there == back
    assert len(set(there.values())) == len(presets)


def test_folder_that_was_no_reapers_is_said(tmp_path: Path, library: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert any("had no reaper.ini" in line for line in set_up(folder, library))
    assert not any("had no reaper.ini" in line for line in set_up(folder, library))


def test_scripts_are_lua_unless_they_were_python_or_shall_be(resource_path: Path, library: Path) -> None:
    scripts, before = resource_path / "Scripts" / "stembridge", contents(resource_path)

    def languages(launcher: Launcher | None) -> tuple[set[str], set[str]]:
        install(resource_path, Settings(), launcher=launcher, is_running=bool, find=lambda: (library, Trial()))
        registered = (resource_path / "reaper-kb.ini").read_text("latin-1")
        lines = {line[-3:] for line in registered.splitlines() if " stembridge/stembridge_" in line}
        return {path.suffix for path in scripts.rglob("stembridge_*.*")}, lines

    assert languages(None) == ({".lua"}, {"lua"})
    assert (resource_path / "reaper.ini").read_bytes() == before["reaper.ini"]
    assert not list(scripts.rglob("*.py"))
    assert languages("python") == languages(None) == ({".py"}, {".py"})
    assert not list(scripts.rglob("*.lua"))
    assert languages("lua") == languages(None) == ({".lua"}, {"lua"})
    with pytest.raises(UsageError, match="in Lua need no Python library"):
        install(resource_path, Settings(), str(library), is_running=bool)
    uninstall(resource_path, is_running=bool)
    assert contents(resource_path) == before


def test_actions_that_reapack_brought_are_not_doubled(resource_path: Path, library: Path) -> None:
    theirs = resource_path / "Scripts" / "stembridge" / "Items" / "stembridge_jobs.lua"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    install(resource_path, Settings(), is_running=bool)
    assert not (theirs.parents[1] / theirs.name).exists()
    registered = (resource_path / "reaper-kb.ini").read_bytes()
    assert b"stembridge_jobs" not in registered
    assert b"stembridge_insert.lua" in registered
