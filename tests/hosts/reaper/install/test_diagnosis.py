from __future__ import annotations

import json
from pathlib import Path

import pytest
from stembridge_reaper.install.diagnosis import examine
from stembridge_reaper.install.python_library import Trial
from stembridge_reaper.install.setup import install

from plugin_core.cli.app import run
from plugin_core.console.context import Context
from plugin_core.model import Finding, Verdict
from plugin_core.settings import Settings


@pytest.fixture
def resource_path(tmp_path: Path) -> Path:
    library = tmp_path / "libpython3.11.so.1.0"
    library.touch()
    folder = tmp_path / "REAPER"
    folder.mkdir()
    install(folder, Settings(), launcher="python", is_running=lambda: False, find=lambda: (library, Trial()))
    return folder


def wrong(resource_path: Path, trial: Trial = Trial()) -> list[Finding]:  # noqa: B008 - it is frozen
    findings = examine(resource_path, Settings(), is_running=lambda: False, attempt=lambda _: trial)
    return [finding for finding in findings if finding.verdict is not Verdict.OK]


def test_all_is_well_after_install(resource_path: Path) -> None:
    assert wrong(resource_path) == []


def test_scripts_in_lua_need_no_library_and_none_is_tried(tmp_path: Path) -> None:
    (tmp_path / "REAPER").mkdir()
    install(tmp_path / "REAPER", Settings(), is_running=lambda: False)
    findings = examine(
        tmp_path / "REAPER", Settings(), is_running=lambda: False, attempt=lambda _: pytest.fail("tried")
    )
    assert {finding.verdict for finding in findings} == {Verdict.OK}
    assert "is not needed in REAPER: the scripts are in Lua" in [finding.found for finding in findings]


@pytest.mark.parametrize(
    ("trial", "verdict", "told"),
    [
        (Trial("it would end REAPER"), Verdict.WRONG, "will not do: it would end REAPER"),
        (Trial(is_done=False), Verdict.WARNING, "not tried"),
    ],
)
def test_the_doctor_repeats_the_trial_of_the_python_library(
    resource_path: Path, trial: Trial, verdict: Verdict, told: str
) -> None:
    (finding,) = wrong(resource_path, trial)
    assert (finding.name, finding.verdict, told in finding.found) == ("Python", verdict, True)
    assert finding.remedy


def test_each_step_is_named_when_it_is_broken(resource_path: Path, tmp_path: Path, home: Path) -> None:
    scripts = resource_path / "Scripts" / "stembridge"
    configuration = scripts / "stembridge.json"
    (tmp_path / "libpython3.11.so.1.0").unlink()
    (scripts / "stembridge_scripts" / "api.py").write_text("old")
    (resource_path / "reaper-kb.ini").write_text("")
    configuration.write_text(json.dumps(json.loads(configuration.read_bytes()) | {"python": "/gone"}))
    (home / "reaper" / "runs").rmdir()
    found = wrong(resource_path)
    assert [finding.name for finding in found] == ["Python", "scripts", "actions", "interpreter", "runs"]
    assert all("stembridge reaper install" in finding.remedy for finding in found)
    assert "Show jobs" in found[2].found


def test_reaper_that_was_never_set_up(tmp_path: Path) -> None:
    names = [finding.name for finding in wrong(tmp_path)]
    assert names == ["scripts", "actions", "interpreter", "runs"]


def test_commands(
    tmp_path: Path, resource_path: Path, python_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["reaper", "install", "--resource-path", str(resource_path), "--python-library", str(python_library)]
    command += ["--launcher", "python"]
    assert run(command, Context()) == 0
    assert run(["reaper", "doctor", "--resource-path", str(resource_path)], Context()) == 0
    assert "Media item context" in capsys.readouterr().out
    assert run(["reaper", "uninstall", "--resource-path", str(resource_path)], Context()) == 0
    capsys.readouterr()
    assert run(["reaper", "doctor", "--resource-path", str(resource_path)], Context()) == 1
    told = capsys.readouterr().out.splitlines()
    problems = sum(line.startswith("problem ") for line in told)
    assert problems >= 3
    assert told[-1] == f"{problems} problems to mend"
    assert run(command, Context()) == 0
    assert "ready: start REAPER" in capsys.readouterr().out
    assert wrong(resource_path) == []
    assert run(["reaper", "install", "--resource-path", str(tmp_path / "gone")], Context()) == 2
    assert run(["reaper-worker", str(tmp_path / "gone.json")], Context()) == 2
    assert "gone.json cannot be read" in capsys.readouterr().err


def test_doctor_speaks_to_programs(
    resource_path: Path, python_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(resource_path, Settings(), str(python_library), is_running=lambda: False)
    assert run(["reaper", "doctor", "--json", "--resource-path", str(resource_path)], Context()) == 0
    *checks, end = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {check["event"] for check in checks} == {"check"}
    assert (end["event"], end["wrong"], end["exit_code"]) == ("summary", 0, 0)
