"""README says what is true: its Python runs, its settings load, its options and presets exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from plugin_core.cli.app import build_app
from plugin_core.jobs.policy import JobsSettings
from plugin_core.presets import load_presets
from plugin_core.providers.local.adapter import LocalSettings
from plugin_core.session import Session
from plugin_core.settings import Settings
from plugin_core.stems.layout import parse_template
from plugin_core.wishes import SEPARATE, STEMS
from tests.audio_files import write_song

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def fenced(language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(block)


def test_readme_stays_short() -> None:
    assert len(README.splitlines()) < 150


def test_python_example_runs(tmp_path: Path) -> None:
    write_song(tmp_path / "Song.flac", 1.0)
    done = subprocess.run([sys.executable, "-c", fenced("python")], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Song - Vocals.flac" in done.stdout
    assert (tmp_path / "Song.stems" / "Song - Vocals.flac").exists()


def test_settings_example_loads(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(fenced("toml"))
    settings = Settings(tmp_path, environ={})
    presets = load_presets(settings)
    assert settings.section("separate", SEPARATE).preset in presets
    assert "acapella" in presets
    assert settings.section("local", LocalSettings).workers == 2
    assert settings.section("jobs", JobsSettings).lease_seconds == 20
    stems = settings.section("stems", STEMS)
    parse_template(stems.template)
    with Session(settings) as session:
        assert stems.usual_project in session.registry.session_formats


@pytest.mark.parametrize("line", re.findall(r"\| `(stembridge [^`]+)` \|", README))
def test_commands_and_options_exist(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    app = build_app()
    command = app.get_command(click.Context(app), name)
    assert command is not None
    if isinstance(command, click.Group):
        assert arguments[0] in command.commands
        return
    with click.Context(command) as context:
        command.make_parser(context).parse_args(arguments)
