"""The service of the current user: what its system reads back is what was meant."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from stembridge_hot_folder.service import Machine, install, place_of, quote_unit, uninstall

from plugin_core.errors import SettingsError, UsageError
from plugin_core.manifests import manifest
from plugin_core.settings import Settings


class Tool:
    """Remembers commands instead of running them."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.calls: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> int:
        self.calls.append(list(command))
        return self.code


def machine(tmp_path: Path, platform: str) -> Machine:
    return Machine(platform, tmp_path, tmp_path / ".config", "/usr/bin/python3")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / 'My "songs" 100%s $HOME & <co>'
    path.mkdir()
    return path


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_install_writes_and_starts_and_uninstall_removes(tmp_path: Path, folder: Path, platform: str) -> None:
    tool, where = Tool(), machine(tmp_path, platform)
    lines = list(install(Settings(), [folder], machine=where, run=tool))
    assert any("from now on" in line for line in lines)
    assert tool.calls
    assert place_of(where).exists()
    assert "removed" in next(iter(uninstall(Settings(), machine=where, run=tool)))
    assert not place_of(where).exists()
    assert list(uninstall(Settings(), machine=where, run=tool)) == ["no service is installed"]


def test_a_tool_that_fails_is_told_with_the_command(tmp_path: Path, folder: Path) -> None:
    lines = list(install(Settings(), [folder], machine=machine(tmp_path, "linux"), run=Tool(1)))
    assert any(line.startswith("to start it: systemctl --user daemon-reload") for line in lines)


def test_property_list_names_the_folder_exactly(tmp_path: Path, folder: Path) -> None:
    where = machine(tmp_path, "darwin")
    list(install(Settings(), [folder], machine=where, run=Tool()))
    read = plistlib.loads(place_of(where).read_bytes())
    assert read["ProgramArguments"] == ["/usr/bin/python3", "-P", "-m", "plugin_core", "watch", str(folder)]
    assert read["EnvironmentVariables"]["STEMBRIDGE_HOME"]
    assert {"/opt/homebrew/bin", "/usr/local/bin"} <= set(read["EnvironmentVariables"]["PATH"].split(":"))


def test_task_is_xml_and_names_the_folder(tmp_path: Path, folder: Path) -> None:
    where = machine(tmp_path, "win32")
    list(install(Settings(), [folder], machine=where, run=Tool()))
    tree = ET.fromstring(place_of(where).read_bytes())
    arguments = tree.findtext(".//{*}Arguments")
    assert arguments == subprocess.list2cmdline(["-P", "-m", "plugin_core", "watch", str(folder)])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
@pytest.mark.parametrize("which", ["user", "system"])
def test_units_are_what_systemd_takes(tmp_path: Path, folder: Path, which: str) -> None:
    if which == "user":
        where = machine(tmp_path, "linux")._replace(python=shutil.which("env") or "/usr/bin/env")
        list(install(Settings(), [folder], machine=where, run=Tool()))
        unit = place_of(where)
    else:
        unit = tmp_path / "stembridge-watch.service"
        unit.write_bytes(manifest("hosts/hot_folder/stembridge-watch.service").read_bytes())
    found = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", *(["--user"] if which == "user" else []), str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in found.stderr.splitlines() if unit.name in line]
    assert not complaints, found.stderr


def test_names_with_line_ends_are_refused() -> None:
    with pytest.raises(UsageError, match="line end"):
        quote_unit("a\nb")


def test_second_install_ends_the_first_that_still_watches_other_folders(tmp_path: Path, folder: Path) -> None:
    tool, where = Tool(), machine(tmp_path, "linux")
    list(install(Settings(), [folder], machine=where, run=tool))
    assert not any("disable" in call for call in tool.calls)
    lines = list(install(Settings(), [folder], machine=where, run=tool))
    assert "in place of the service before" in lines[0]
    assert [call[2] for call in tool.calls[-3:]] == ["disable", "daemon-reload", "enable"]


def test_places_of_presets_can_be_written_by_the_service(tmp_path: Path, folder: Path) -> None:
    home, where = tmp_path / "home", machine(tmp_path, "linux")
    home.mkdir()
    (home / "config.toml").write_text(
        f'[presets.away]\noperations = [{{ kind = "separation", to = "{tmp_path.as_posix()}/stems" }}]\n'
    )
    list(install(Settings(home, environ={}), [folder], machine=where, run=Tool()))
    [line] = [line for line in place_of(where).read_text().splitlines() if line.startswith("ReadWritePaths=")]
    assert f'"-{tmp_path}/stems"' in line


def test_install_refuses_what_the_service_would_fail_of(tmp_path: Path, folder: Path) -> None:
    (folder / "stembridge.toml").write_text('preset = "nonsense"\n')
    with pytest.raises(SettingsError, match="no preset 'nonsense'"):
        list(install(Settings(tmp_path / "home", environ={}), [folder], machine=machine(tmp_path, "linux"), run=Tool()))
    assert not place_of(machine(tmp_path, "linux")).exists()


@pytest.mark.parametrize(
    ("platform", "unheard"),
    [
        ("linux", "STEMBRIDGE_MVSEP_API_TOKEN, STEMBRIDGE_WATCH_DONE"),
        ("win32", "STEMBRIDGE_HOME, STEMBRIDGE_MVSEP_API_TOKEN, STEMBRIDGE_WATCH_DONE"),
    ],
)
def test_install_says_which_settings_of_the_shell_the_service_is_not_given(
    tmp_path: Path, folder: Path, platform: str, unheard: str
) -> None:
    home = tmp_path / "home"
    environ = {
        "STEMBRIDGE_HOME": str(home),
        "STEMBRIDGE_WATCH_DONE": "done",
        "STEMBRIDGE_MVSEP_API_TOKEN": "secret",
        "PATH": "/bin",
    }
    lines = list(install(Settings(environ=environ), [folder], machine=machine(tmp_path, platform), run=Tool()))
    assert any(line.startswith(f"not passed on from this shell: {unheard}; put it in {home}") for line in lines)
    assert "secret" not in "".join(lines)
    assert home.is_dir(), "the service may only write in it"
