from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = int(os.environ.get("STEMBRIDGE_TEST_KILLS", "60"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new_file() -> None:
    command = [sys.executable, "-m", "tests.plugin_core.tags.killed", str(KILLS)]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    kills, old, new, copies, *rest = map(int, re.findall(r"\d+", done.stdout))
    assert (kills >= KILLS, old + new, rest) == (True, kills, [0, 0])
    assert new > 0
    assert copies > 0, "no kill hit a writer at work"
