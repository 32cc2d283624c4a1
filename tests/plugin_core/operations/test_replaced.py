"""A source that becomes another file while it is separated: its stems never pass for the other's unsaid."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from plugin_core.errors import SourceError, TransientError
from plugin_core.operations import replaced
from plugin_core.operations.inspect import inspect
from plugin_core.operations.replaced import describe_change, require_no_other
from plugin_core.operations.retagged import never_retagged
from tests.audio_files import write_song


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "Song.wav", 0.5, seed=1)


def nothing() -> None:
    """Never stop."""


def test_untouched_touched_and_moved_sources_are_fine(song: Path) -> None:
    source = inspect(song)
    for change in (nothing, lambda: os.utime(song, (1, 1)), song.unlink):
        change()
        require_no_other(source, never_retagged)
        assert describe_change(source, never_retagged, check=nothing) == ()


def test_song_of_another_length_is_refused(song: Path, tmp_path: Path) -> None:
    source = inspect(song)
    write_song(tmp_path / "new.wav", 0.6, seed=2).replace(song)
    with pytest.raises(SourceError, match="another song than the one that was separated"):
        require_no_other(source, never_retagged)


def test_file_that_is_no_song_any_more_is_refused(song: Path) -> None:
    source = inspect(song)
    song.write_text("no audio")
    with pytest.raises(SourceError, match="another song"):
        require_no_other(source, never_retagged)


def test_mix_of_the_same_length_is_told(song: Path, tmp_path: Path) -> None:
    source = inspect(song)
    write_song(tmp_path / "new.wav", 0.5, seed=2).replace(song)
    require_no_other(source, never_retagged)
    [note] = describe_change(source, never_retagged, check=nothing)
    assert "Song.wav was changed meanwhile" in note


def test_our_own_labels_are_no_change(song: Path, tmp_path: Path) -> None:
    source = inspect(song)
    shutil.copy(song, tmp_path / "new.wav")
    with (tmp_path / "new.wav").open("ab") as opened:
        opened.write(b"LIST\4\0\0\0INFO")
    (tmp_path / "new.wav").replace(song)
    content = inspect(song).content
    require_no_other(source, lambda _source, found: found == content)
    assert describe_change(source, lambda _source, found: found == content, check=nothing) == ()


def test_disk_that_is_away_is_told_by_whoever_places(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = inspect(song)

    def away(*_arguments: object, **_options: object) -> None:
        raise TransientError("the share does not answer")

    monkeypatch.setattr(replaced, "require_unchanged", away)
    monkeypatch.setattr(replaced, "require_same_song", away)
    assert describe_change(source, never_retagged, check=nothing) == ()
    with pytest.raises(TransientError):
        require_no_other(source, never_retagged)
