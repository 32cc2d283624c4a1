from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import click
import pytest

from plugin_core import hookimpl
from plugin_core.cli.app import COMMANDS, build_app
from plugin_core.console.context import Context
from plugin_core.providers.mvsep import plugin as mvsep
from plugin_core.providers.tencent_ci import plugin as tencent_ci
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.cli.fakes import FakePoint, load_fakes

#: What the design promises of each command of the core; a preset and yes belong to a paid run.
VENDORS = (FakePoint("mvsep", mvsep), FakePoint("tencent_ci", tencent_ci))
PROMISED = {
    "separate": "provider model option stems minus residual format on-overload as-is to output files-from null"
    " preset force dry-run json"
    " recursive yes",
    "tag": "provider dimensions min-probability labels policy language-codes provenance undo files-from null"
    " recursive force dry-run"
    " yes json",
    "run": "provider model option stems minus residual format on-overload as-is to output files-from null"
    " force dry-run json recursive yes",
    "jobs": "json",
    "jobs list": "json state limit",
    "jobs show": "json",
    "jobs resume": "json",
    "jobs cancel": "json",
    "jobs retry": "json no-run force",
    "jobs prune": "json older-than",
    "jobs migrate": "json",
    "purchases": "provider limit json",
    "fetch": "format on-overload as-is to output json",
    "models": "provider json",
    "plugins": "json",
    "doctor": "json",
    "show": "png json",
    "demo": "to json",
    "login": "token json",
    "account": "json",
    "mvsep": "",
    "tencent": "",
    "tencent bucket": "json",
    "tencent templates": "json",
    "tencent templates list": "name json",
    "tencent templates create": "mode codec samplerate bitrate channels json",
    "tencent templates update": "name mode codec samplerate bitrate channels json",
    "tencent templates delete": "yes json",
    "worker": "concurrency only json",
    "listen": "address public json",
    "config": "",
    "config path": "json",
    "config show": "changed json",
    "config set": "unset json",
    "config edit": "",
    "completion": "install uninstall",
}


class Hiding:
    """A plugin with a command that programs alone call."""

    @hookimpl
    def register_commands(self, group: click.Group) -> None:
        @group.command("hidden", hidden=True)
        def hidden() -> None:
            """Work for a program."""
            click.echo("done")


class Adding:
    """A plugin with a command, and one that is named as a built-in."""

    @hookimpl
    def register_commands(self, group: click.Group) -> None:
        @group.command("watch")
        def watch() -> None:
            """Watch folders."""
            click.echo("watching")

        @group.command("doctor")
        def doctor() -> None:
            """Take the place of the built-in one."""
            click.echo("stolen")


class Breaking:
    @hookimpl
    def register_commands(self, group: click.Group) -> None:
        raise RuntimeError("broken")


def find_command(words: str) -> click.Command:
    context = click.Context(build_app(), obj=Context(plugins=load_fakes(*VENDORS)))
    command: click.Command | None = context.command
    for word in words.split():
        assert isinstance(command, click.Group)
        command = command.get_command(context, word)
    assert command is not None
    return command


@pytest.mark.parametrize("words", PROMISED)
def test_every_promised_option_exists_and_is_explained(words: str) -> None:
    options = [each for each in find_command(words).params if isinstance(each, click.Option)]
    names = {name.removeprefix("--") for option in options for name in option.opts if name.startswith("--")}
    assert set(PROMISED[words].split()) - names == set()
    assert all(option.help for option in options)


def test_every_command_of_the_help_page_exists_and_has_a_text() -> None:
    assert {words.split()[0] for words in PROMISED} == {*COMMANDS, "mvsep", "tencent"}
    jobs = find_command("jobs")
    assert isinstance(jobs, click.Group)
    assert {f"jobs {name}" for name in jobs.commands} == {words for words in PROMISED if words.startswith("jobs ")}
    for name in COMMANDS:
        assert find_command(name).help


def test_help_fits_eighty_columns_and_needs_no_command_module(stembridge: Run, home: Path) -> None:
    result = stembridge("--help")
    assert result.code == 0
    assert all(len(line) <= 80 for line in result.out.splitlines())
    assert stembridge().out == result.out
    code = "import sys; from plugin_core.cli.app import run; run(['--help'])\n"
    code += (
        "heavy = {'numpy', 'soundfile', 'httpx', 'rich', 'mutagen', 'sqlite3', 'plugin_core.cli.commands.separate'}\n"
    )
    code += "print('loaded', sorted(heavy & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("words", [["jobs", "list"], ["purchases"], ["jobs", "prune"], ["plugins"]], ids=" ".join)
def test_what_only_asks_for_jobs_loads_nothing_that_reads_sound_or_draws_screens(
    words: list[str],
) -> None:
    code = f"import sys; from plugin_core.cli.app import run; code = run({words}); "
    code += "print('loaded', sorted({'numpy', 'soundfile', 'httpx', 'mutagen', 'rich'} & set(sys.modules))); "
    code += "sys.exit(code)"
    # As Python knows it: pytest loads readline, which says COLUMNS to children behind its back.
    environ = dict(os.environ)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.splitlines()[-1] == "loaded []"


@pytest.mark.parametrize("words", PROMISED)
def test_help_of_every_command(stembridge: Run, words: str) -> None:
    result = stembridge(*words.split(), "--help", points=VENDORS)
    assert result.code == 0
    assert re.match(rf"Usage: stembridge {words}", result.out)
    assert all(len(line) <= 80 for line in result.out.splitlines())


def test_version_imports_next_to_nothing() -> None:
    code = "import sys; sys.argv = ['stembridge', '--version']; from plugin_core.__main__ import main; main()\n"
    code += "ours = sorted(name for name in sys.modules if name.startswith('plugin_core'))\n"
    code += "print(ours, 'click' in sys.modules, 'msgspec' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = ["plugin_core", "plugin_core.__main__", "plugin_core._version"]
    assert done.stdout.splitlines() == ["stembridge 0.1.0", f"{ours} False False"]


def test_version_is_told_beside_other_options_too(stembridge: Run) -> None:
    assert stembridge("-v", "--version").out == "stembridge 0.1.0\n"


def test_plugins_add_commands_but_replace_none(stembridge: Run) -> None:
    points = (FakePoint("adding", Adding()),)
    assert stembridge("watch", points=points).out == "watching\n"
    page = stembridge("--help", points=points).out
    assert re.search(r"\n  watch +Watch folders\.\n", page)
    assert page.count("  doctor ") == 1
    assert "stolen" not in stembridge("doctor", "--help", points=points).out
    told = stembridge("--help", points=points).err
    assert told == "stembridge: a plugin's command 'doctor' is passed over: stembridge has one of that name\n"


@pytest.mark.parametrize("options", [{}, {"tryfirst": True}, {"trylast": True}], ids=["plain", "tryfirst", "trylast"])
def test_a_built_in_plugin_keeps_its_command_whatever_the_order(stembridge: Run, options: dict[str, Any]) -> None:
    class Stranger:
        def register_commands(self, group: click.Group) -> None:
            Adding().register_commands(group)

    hookimpl(**options)(Stranger.register_commands)
    (watch,) = (point for point in metadata.entry_points(group="stembridge") if point.name == "hot_folder")
    result = stembridge("watch", "--help", points=(FakePoint("stranger", Stranger()), cast(FakePoint, watch)))
    assert "hot folder" in result.out.lower() or "DIR" in result.out
    assert "command 'watch' of plugin stranger is passed over: hot_folder has one of that name" in result.err


def test_the_help_page_shows_whole_sentences_and_what_people_call(stembridge: Run) -> None:
    for words in ("jobs", "mvsep", "mvsep quality"):
        assert "..." not in stembridge(*words.split(), "--help").out.partition("Commands:")[2]
    points = (FakePoint("hiding", Hiding()),)
    assert "hidden" not in stembridge("--help", points=points).out
    assert "hidden" not in stembridge("nothing", points=points).err
    assert stembridge("hidden", points=points).out == "done\n"


def test_a_plugin_that_breaks_takes_nothing_along(stembridge: Run) -> None:
    result = stembridge("--help", points=(FakePoint("breaking", Breaking()),))
    assert result.code == 0
    assert "separate" in result.out
    assert "plugin breaking failed in register_commands" in result.err
