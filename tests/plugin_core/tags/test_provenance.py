from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from plugin_core.tags.copy import tag_stem
from plugin_core.tags.provenance import is_own_work, read_provenance
from tests.audio_files import write_song


def test_a_stem_says_who_made_it(tmp_path: Path) -> None:
    song, stem = tmp_path / "song.wav", tmp_path / "vocals.flac"
    for path in (song, stem):
        write_song(path, 0.1)
    tag_stem(song, stem, stem_title="Vocals", provenance={"stem": "vocals"})
    assert is_own_work(stem) and not is_own_work(song)
    assert json.loads(read_provenance(stem)) == {"stem": "vocals"}


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "pipe"])
def test_what_cannot_be_read_says_nothing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "song.flac"
    match kind:
        case "folder":
            path.mkdir()
        case "text":
            path.write_text("no audio", encoding="utf-8")
        case "pipe" if hasattr(os, "mkfifo"):
            os.mkfifo(path)
    assert read_provenance(path) == "" and not is_own_work(path)
