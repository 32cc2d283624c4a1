from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin_core.tags.tagged_files import make_source

KILLS = int(os.environ.get("STEMBRIDGE_TEST_KILLS", "60"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    songs.mkdir()
    for kind in ("mp3", "wav", "flac", "ogg", "m4a", "wv"):
        path = make_source(tmp_path, kind)
        path.rename(songs / path.name)
    command = [sys.executable, "-m", "tests.plugin_core.tags.killed", str(songs), str(KILLS)]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    old, new, copies = map(int, done.stdout.split())
    assert old + new >= KILLS
    assert new > 0
    assert copies > 0, "no kill hit a writer at work"
