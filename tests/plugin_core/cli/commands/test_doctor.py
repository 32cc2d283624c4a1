"""Doctor's checks: every mistake in the settings is told, and no plugin can keep it from its summary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from plugin_core import Settings, hookimpl
from plugin_core.cli.commands import doctor
from plugin_core.cli.commands.doctor import CHECKS, run_checks
from plugin_core.errors import SettingsError
from plugin_core.model import Finding, Verdict
from plugin_core.plugins import load_plugins
from plugin_core.providers.local import plugin as local_plugin
from plugin_core.providers.mediax import plugin as mediax_plugin
from plugin_core.session import Session
from plugin_core.settings import no_keyring
from plugin_core.stagers import plugin as stagers_plugin
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.cli.fakes import FakePoint
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, MediaxSimulator


class Broken:
    """A plugin that cannot register."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    @hookimpl
    def register_separators(self) -> None:
        raise self.error


class Sectioned:
    """A plugin with a section of its own, which is not named as the plugin is."""

    @hookimpl
    def register_separators(self, register: Callable[[Any], None], settings: Settings) -> None:
        from plugin_core.jobs.policy import JobsSettings

        settings.section("tone", JobsSettings)


def check(home: Path, name: str, config: str, *points: FakePoint, **environ: str) -> Finding:
    (home / "config.toml").write_text(config)
    plugins = load_plugins((FakePoint("local", local_plugin), *points), environ={})
    with Session(Settings(home, environ=environ, keyring=no_keyring), plugins) as session:
        return CHECKS[name](session)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("[separate]\nprovider = 'locl'\n", "line 2: [separate] provider: no separator 'locl'"),
        ("[separate]\npreset = 'karoke'\n", "line 2: [separate] preset: no preset 'karoke'"),
        ("[stems]\ntemplate = '{nme}'\n", "line 2: [stems] template: template '{nme}': unknown field 'nme'"),
        ("[stems]\ntemplat = ''\n", "line 2: unknown key 'templat' in [stems], did you mean 'template'?"),
        ("[jobs]\nlease_seconds = 'x'\n", "line 2: [jobs] lease_seconds: expected a number, got text"),
        ("[local]\nworkers = 0\n", "line 2: [local] workers: expected a whole number >= 1"),
        ("[presets.x]\noperations = []\n", "[presets.x]: operations is empty"),
        ("[separate]\nformat = 'flak'\n", "line 2: [separate] format: no format is called 'flak'"),
        ("[purchases]\nkeep_day = 3\n", "line 2: unknown key 'keep_day' in [purchases], did you mean 'keep_days'?"),
        ("[spend.local]\nday = -1\n", "line 2: [spend.local] day: expected a number >= 0"),
        ("[spend.local]\nweek = 1\n", "line 2: unknown key 'week' in [spend.local]"),
    ],
    ids=["provider", "preset", "template", "key", "jobs", "local", "presets", "format", "purchases", "spend", "limit"],
)
def test_mistake_in_the_settings_is_told_with_its_place(home: Path, config: str, told: str) -> None:
    finding = check(home, "settings", config)
    assert finding.verdict is Verdict.WRONG
    assert f"{home / 'config.toml'}, {told}" in finding.found
    assert finding.remedy


def test_every_mistake_is_told_at_once_and_once(home: Path) -> None:
    found = check(home, "settings", "[separate]\nprovider = 3\n[jobs]\nx = 1\n[local]\nnice = 99\n").found
    assert [found.count(word) for word in ("[separate] provider", "'x' in [jobs]", "[local] nice")] == [1, 1, 1]


def test_a_provider_whose_plugin_failed_is_no_second_mistake(home: Path) -> None:
    assert "no separator" not in check(home, "settings", "[local]\nnice = 99\n").found


def test_wrong_variable_is_named_as_such(home: Path) -> None:
    finding = check(home, "settings", "", STEMBRIDGE_SEPARATE_PROVIDER="locl")
    assert finding.found == "STEMBRIDGE_SEPARATE_PROVIDER: no separator 'locl'"
    assert finding.remedy == "did you mean 'local'?"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("[seperate]\nmodel = 'x'\n", "unknown section [seperate], did you mean 'separate'?"),
        ("workers = 2\n", "key 'workers' stands before any section"),
        ("[spend.locl]\nday = 3\n", "[spend.locl] limits no service, did you mean 'local'?"),
    ],
    ids=["section", "key", "limit"],
)
def test_what_nobody_reads_is_a_warning(home: Path, config: str, told: str) -> None:
    finding = check(home, "settings", config)
    assert finding.verdict is Verdict.WARNING
    assert told in finding.found


def test_section_of_a_plugin_is_known(home: Path) -> None:
    config = "[tone]\nlease_seconds = 5\n[broken]\nkey = 1\n"
    points = (FakePoint("mine", Sectioned()), FakePoint("broken", ImportError("gone")))
    assert check(home, "settings", config, *points).verdict is Verdict.OK


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit("boom")], ids=["raises", "exits"])
def test_plugin_that_cannot_register_is_named_and_doctor_concludes(stembridge: Run, error: BaseException) -> None:
    points = (FakePoint("local", local_plugin), FakePoint("tone", Broken(error)))
    result = stembridge("doctor", "--json", points=points)
    found = {check["name"]: check for check in result.of("check")}
    assert found["plugins"]["verdict"] == "wrong"
    assert found["plugins"]["found"] == f"tone: {type(error).__name__}: boom"
    assert [name for name, check in found.items() if check["verdict"] == "wrong"] == ["plugins"]
    assert result.events[-1]["wrong"] == 1


@pytest.mark.parametrize(
    "error",
    [RuntimeError("bad\nluck"), SystemExit("bad luck"), ExceptionGroup("many", [RuntimeError("bad luck")])],
    ids=["raises", "exits", "group"],
)
def test_no_exception_keeps_the_other_checks_from_running(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(_session: Session) -> Finding:
        raise error

    monkeypatch.setattr(doctor, "CHECKS", {"separation": fail, "Python": doctor.check_python})
    with Session(Settings(home, environ={}), load_plugins((), environ={})) as session:
        first, second = run_checks(session)
    assert (first.name, first.verdict, second.verdict) == ("separation", Verdict.WRONG, Verdict.OK)
    assert first.found.endswith(": bad luck")


class Host:
    """A plugin whose section is called as its command is."""

    @hookimpl
    def register_commands(self, group: click.Group) -> None:
        group.add_command(click.Command("watch"))


def test_section_of_a_plugins_command_is_known(home: Path) -> None:
    points = (FakePoint("hot_folder", Host()),)
    assert check(home, "settings", "[watch]\npreset = 'vocals'\n", *points).verdict is Verdict.OK
    misspelt = check(home, "settings", "[wach]\npreset = 'vocals'\n", *points)
    assert "unknown section [wach], did you mean 'watch'?" in misspelt.found


@pytest.mark.parametrize("config", ["[local\n", "[mvsep]\napi_token = 'abc'\n"], ids=["no TOML", "secret seen by all"])
def test_settings_that_cannot_be_read_are_one_problem(stembridge: Run, home: Path, config: str) -> None:
    (home / "config.toml").write_text(config)
    (home / "config.toml").chmod(0o644)
    points = (FakePoint("local", local_plugin), FakePoint("mine", Sectioned()))
    result = stembridge("doctor", points=points)
    assert (result.code, result.err) == (1, "")
    assert [line.split()[1] for line in result.out.splitlines() if line.startswith("problem ")] == ["settings"]
    assert result.out.splitlines()[-1] == "1 problem to mend"
    for command in ("plugins", "models", "jobs"):
        told = stembridge(command, points=points)
        assert (told.code, told.out, told.err.count("\n")) == (2, "", 1)


def test_a_store_that_cannot_be_opened_is_one_problem(
    stembridge: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "jobs.sqlite3").write_text("no database, but as long as one: " * 9)
    assert _problems(stembridge) == ["job"]
    (home / "jobs.sqlite3").unlink()
    pytest.importorskip("psycopg")
    monkeypatch.setenv("STEMBRIDGE_JOBS_STAGING", str(home))
    monkeypatch.setenv("STEMBRIDGE_JOBS_DATABASE", "postgresql://me:hush@127.0.0.1:1/nowhere")
    assert _problems(stembridge) == ["job"]


def _problems(stembridge: Run) -> list[str]:
    result = stembridge("doctor", points=(FakePoint("local", local_plugin),))
    assert "hush" not in result.out
    return [line.split()[1] for line in result.out.splitlines() if line.startswith("problem ")]


def test_one_mistake_that_stops_several_plugins_is_told_once(home: Path) -> None:
    wrong = SettingsError("config.toml, line 2: [tone] gain: expected a number", remedy="correct the settings file")
    finding = check(home, "plugins", "", FakePoint("one", Broken(wrong)), FakePoint("two", Broken(wrong)))
    assert finding.found == f"one, two: {wrong}"
    assert finding.remedy == "correct the settings; the rest works"


@pytest.mark.parametrize("stagers", ["", "folder", "folder gone"])
def test_what_a_first_tag_would_refuse_is_said(home: Path, tmp_path: Path, stagers: str) -> None:
    folder = "" if not stagers else f"[public_url]\nbase_url = 'https://x.example'\nfolder = '{tmp_path / 'shown'}'\n"
    if stagers == "folder":
        (tmp_path / "shown").mkdir()
    with MediaxSimulator() as service:
        keys = f"secret_id = '{SECRET_ID}'\nsecret_key = '{SECRET_KEY}'\n"
        (home / "config.toml").write_text(f"[mediax]\nbase_url = '{service.url}'\n{keys}{folder}")
        (home / "config.toml").chmod(0o600)
        plugins = load_plugins((FakePoint("mediax", mediax_plugin), FakePoint("stagers", stagers_plugin)), environ={})
        with Session(Settings(home, environ={}, keyring=no_keyring), plugins) as session:
            wrong = {found.name: found for found in run_checks(session) if found.verdict is Verdict.WRONG}
    assert [name for name in wrong if name in ("mediax", "public_url")] == {
        "": ["mediax"],
        "folder": [],
        "folder gone": ["public_url"],
    }[stagers]
    if not stagers:
        assert "no stager is set up" in wrong["mediax"].found
        assert "set one up" in wrong["mediax"].remedy


def test_without_an_account_nothing_is_missing(home: Path) -> None:
    plugins = load_plugins((FakePoint("mediax", mediax_plugin), FakePoint("stagers", stagers_plugin)), environ={})
    with Session(Settings(home, environ={}, keyring=no_keyring), plugins) as session:
        assert [found.verdict for found in run_checks(session) if found.name == "mediax"] == [Verdict.OK]
