"""CONTRIBUTING says what is true: its plugins load, keep the promises, and separate and label a song."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

from plugin_core import JobState, Separation, Session, Settings, Tagging
from plugin_core.errors import UsageError
from plugin_core.model import Job
from plugin_core.plugins import load_plugins
from plugin_core.protocols import Separator, Tagger
from plugin_core.sessions.arrangement import SessionFormat
from plugin_core.settings import no_keyring
from plugin_core.tags.reader import read_tags
from tests.audio_files import write_song

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


class Point(NamedTuple):
    """The entry point that the example's pyproject.toml declares."""

    name: str
    value: str
    code: str

    def load(self) -> ModuleType:
        module = ModuleType(self.value)
        exec(compile(self.code, "CONTRIBUTING.md", "exec"), module.__dict__)
        return module


def read_code(module: str) -> str:
    (code,) = re.findall(rf"```python\n(# {module}\.py\n.*?)```", TEXT, re.DOTALL)
    return str(code)


def read_point() -> Point:
    ((name, module),) = re.findall(r"\[project\.entry-points\.stembridge\]\n(\w+) = \"(\w+)\"", TEXT)
    return Point(name, module, read_code(module))


def open_session(home: Path, config: str = "") -> Session:
    (home / "config.toml").write_text(config)
    points = [read_point(), *(Point(name, name, read_code(name)) for name in ("ears", "m3u"))]
    return Session(Settings(home, environ={}, keyring=no_keyring), load_plugins(points, environ={}))


async def separate(session: Session, song: Path, project: str = "") -> Job:
    source = session.inspect(song)
    job, _ = await session.add(source, await session.plan(source, Separation(provider="tone", project=project)))
    (done,) = await session.run([job.id])
    return done


@pytest.mark.parametrize(("config", "gain"), [("", 0.5), ("[tone]\ngain = 0.25\n", 0.25)], ids=["default", "settings"])
def test_its_separator_separates(tmp_path: Path, home: Path, config: str, gain: float) -> None:
    song = tmp_path / "Song.wav"
    write_song(song, 1.0)
    with open_session(home, config) as session:
        assert [plugin.error for plugin in session.plugins.loaded] == ["", "", ""]
        done = asyncio.run(separate(session, song))
    assert done.state is JobState.DONE, done.problem
    (stem,) = done.stems
    assert stem.path == tmp_path / "Song.stems" / "Song - Quiet.flac"
    expected, _ = soundfile.read(song)
    found, _ = soundfile.read(stem.path)
    assert np.abs(found - gain * expected).max() < 1e-3
    assert np.abs(found).max() > 0.01


@pytest.mark.parametrize(("peak", "label"), [(0.5, "Loud"), (0.05, "Soft")], ids=["loud", "soft"])
def test_its_tagger_labels(tmp_path: Path, home: Path, peak: float, label: str) -> None:
    song = tmp_path / "Song.flac"
    soundfile.write(song, peak * np.sin(np.arange(44100) / 20.0), 44100)

    async def tag(session: Session) -> Job:
        assert isinstance(session.registry.taggers["ears"], Tagger)
        source = session.inspect(song)
        job, _ = await session.add(source, await session.plan(source, Tagging(provider="ears")))
        (done,) = await session.run([job.id])
        return done

    with open_session(home) as session:
        done = asyncio.run(tag(session))
    assert done.state is JobState.DONE, done.problem
    assert read_tags(song).fields["intensity"] == (label,)


def test_its_session_format_is_written(tmp_path: Path, home: Path) -> None:
    with open_session(home) as session:
        done = asyncio.run(separate(session, write_song(tmp_path / "Song.wav", 1.0), "m3u"))
        assert [isinstance(one, SessionFormat) for one in session.registry.session_formats.values()] == [True]
    (project,) = done.projects
    assert project.path == tmp_path / "Song.stems" / "Song.m3u"
    assert project.path.read_text() == "Song - Quiet.flac\n"


def test_its_separator_keeps_the_whole_protocol(home: Path) -> None:
    with open_session(home) as session:
        assert isinstance(session.separator("tone"), Separator)


@pytest.mark.parametrize(
    "wish",
    [
        Separation(provider="tone", stems=("vocals",)),
        Separation(provider="tone", model="loud"),
        Separation(provider="tone", options={"gain": "x"}),
    ],
    ids=["stem", "model", "option"],
)
def test_its_separator_refuses_what_it_cannot_do(tmp_path: Path, home: Path, wish: Separation) -> None:
    write_song(tmp_path / "Song.wav", 1.0)
    with open_session(home) as session, pytest.raises(UsageError, match="tone"):
        source = session.inspect(tmp_path / "Song.wav")
        asyncio.run(session.plan(source, wish))
