"""The secret behind the paths: kept, private, one for all processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_core.callbacks import FILE_NAME, open_paths
from plugin_core.errors import SettingsError

CODE = """
import sys
from pathlib import Path
from plugin_core.callbacks import open_paths
print(open_paths(Path(sys.argv[1])).of("x"))
"""


def test_paths_stay_and_differ(home: Path, tmp_path: Path) -> None:
    paths = open_paths(home)
    first, second = paths.of("mediax"), paths.of("mvsep")
    assert (open_paths(home).of("mediax"), len(first.rpartition("/")[2])) == (first, 40)
    assert first.rpartition("/")[2] != second.rpartition("/")[2]
    assert open_paths(tmp_path).of("mediax") != first
    assert paths.is_right("mediax", first.rpartition("/")[2])
    assert not paths.is_right("mvsep", first.rpartition("/")[2])
    assert not paths.is_right("mediax", "\udcff")


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_only_its_owner_reads_the_secret(home: Path) -> None:
    open_paths(home / "new")
    path = home / "new" / FILE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == [FILE_NAME]
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="others can read it"):
        open_paths(home / "new")


@pytest.mark.parametrize("text", ["", "zz", "ab" * 31, "é" * 64])
def test_a_damaged_secret_is_refused(home: Path, text: str) -> None:
    path = home / FILE_NAME
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=r"holds no secret of ours; remove it"):
        open_paths(home)


def test_processes_that_begin_at_once_agree(home: Path) -> None:
    command = [sys.executable, "-c", CODE, str(home)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {process.communicate(timeout=600)[0] for process in running}
    assert len(said) == 1
    assert said == {f"{open_paths(home).of('x')}\n"}
