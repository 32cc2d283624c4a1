from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from plugin_core.audio.formats import FLAC16, FLAC24, MP3, WAV32F
from plugin_core.errors import PlacementError
from plugin_core.files.disk import free_bytes
from plugin_core.stems.space import HEAD_ROOM, Amount, check_destination, check_space, estimate_bytes
from tests.plugin_core.jobs.fakes import make_job

SOURCE = make_job().source


@pytest.mark.parametrize(
    ("amount", "frames", "expected"),
    [
        (Amount(3, FLAC16), 441, 3 * 441 * 2 * 2),
        (Amount(3, WAV32F), 441, 3 * 441 * 2 * 4),
        (Amount(3, MP3), 441, 3 * 480),
        (Amount(3, FLAC24, least_rate=4 * 44_100), 441, 3 * 441 * 4 * 3),
        (Amount(3, FLAC24, least_rate=44_100), 441, 3 * 441 * 2 * 3),
        (Amount(1, FLAC16), 0, 44_100 * 2 * 2),
    ],
    ids=["16 bits", "floats", "lossy", "service answers in more", "in less", "length from the duration"],
)
def test_estimate_counts_every_sample_in_its_format(amount: Amount, frames: int, expected: int) -> None:
    source = msgspec.structs.replace(SOURCE, frames=frames, duration=1.0)
    assert estimate_bytes([amount], source) == expected + HEAD_ROOM
    assert estimate_bytes([amount] * 2, source) == 2 * expected + HEAD_ROOM


def test_too_little_space_says_how_much_and_where(tmp_path: Path) -> None:
    with pytest.raises(PlacementError, match=r"has 1.0 MiB free and the stems may take 2.0 GiB.*--to FOLDER") as caught:
        check_space(tmp_path, 2 << 30, free=lambda folder: 1 << 20)
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_enough_space_passes(tmp_path: Path) -> None:
    check_space(tmp_path, 1)
    assert free_bytes(tmp_path) > 0


def test_missing_destination_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(PlacementError, match=r"does not exist.*--to FOLDER"):
        check_destination(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(PlacementError, match="is not a folder"):
        check_destination(tmp_path / "file")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_read_only_destination_is_refused(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from plugin_core.stems.space import check_destination\n"
        "from plugin_core.errors import PlacementError\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: check_destination(Path(sys.argv[1]))\n"
        "except PlacementError as error: print(error)\n"
    )
    folder = tmp_path / "locked"
    folder.mkdir()
    for parent in folder.parents:
        if parent.name.startswith(("pytest-", "popen-", tmp_path.name)):
            parent.chmod(0o755)
    folder.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert "nothing can be written in" in done.stdout
    assert "--to FOLDER" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_unreachable_destination_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "file" / "below"
    (tmp_path / "file").touch()
    with pytest.raises(PlacementError, match="cannot be reached"):
        check_destination(folder)
