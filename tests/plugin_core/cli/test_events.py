"""What every command writes with ``--json`` is as ``manifests/events.schema.json`` says."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from plugin_core import hookimpl
from plugin_core.cli.app import COMMANDS
from tests.plugin_core.cli.conftest import KINDS, Run
from tests.plugin_core.cli.fakes import FakePoint, FakeSeparator, write_song
from tests.plugin_core.cli.test_app import find_command


class Broken:
    @hookimpl
    def register_session_formats(self) -> None:
        """Register none."""


NOT_CALLED = {"login", "listen", "worker", "account", "demo", "tag"}
"""Commands that need a service, a socket or half a minute, or run until they are ended: their own tests hold their
lines against the schema."""


def test_each_command_writes_what_the_schema_says(
    stembridge: Run, fake: FakeSeparator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.price = 2.0
    song, other = (write_song(tmp_path / name, seed=number) for number, name in enumerate(("One.flac", "Two.flac")))
    (tmp_path / "no.flac").write_text("no sound")
    calls = [
        ("separate", song, "--dry-run"),
        ("separate", song, "no.flac", "--yes"),
        ("run", "vocals", other, "--provider", "fake", "--yes"),
        ("separate", "missing.flac"),
        ("jobs", "list"),
        ("jobs", "prune", "--older-than", "1w"),
        ("purchases",),
        ("models",),
        ("plugins",),
        ("doctor",),
        ("config", "show"),
        ("config", "path"),
        ("config", "set", "separate.format", "wav"),
        ("show", song),
        ("jobs", "retry", "nothing"),
        ("fetch", "fake", "nothing"),
    ]
    seen, commands = set(), set()
    for words in calls:
        result = stembridge(*words, "--json", points=(FakePoint("broken", Broken()),))
        events = result.events  # looks at each of them
        assert events[-1]["event"] == "summary", words
        assert events[-1]["exit_code"] == result.code, words
        assert {event["event"] for event in events} <= set(KINDS), words
        seen |= {event["event"] for event in events}
        commands.add(words[0])
    assert set(KINDS) - seen == {
        *("placed", "problem"),
        *("account", "callback", "listening", "login", "migrated", "score", "undone"),
    }
    with_json = {name for name in COMMANDS if _takes_json(find_command(name))}
    assert with_json - commands == NOT_CALLED


def _takes_json(command: click.Command) -> bool:
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return any("--json" in param.opts for param in command.params) or any(map(_takes_json, below))
