"""Songs whose stems stand: the command that comes back for them opens none, and sees whatever was done to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import quick_start
from tests.plugin_core.cli.fakes import write_song

ROOT = Path(__file__).parents[2]
SONGS = 6


def run(home: Path, music: Path) -> tuple[list[str], dict[str, Any]]:
    """Separate all songs in a process of its own; return what it opened in their folder, and how it ended."""
    process = quick_start.Popen(
        [sys.executable, "-m", __name__, str(music), "separate", str(music), "--recursive", "--json"],
        cwd=ROOT,
        env={**os.environ, "STEMBRIDGE_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = process.communicate(timeout=300)
    *_, opened = err.decode().splitlines()
    assert process.returncode == 0, err
    return json.loads(opened), json.loads(out.splitlines()[-1])


def main() -> int:
    """Run a command, and write to standard error what it opened in a folder."""
    from plugin_core.__main__ import main as command
    from plugin_core.audio import source_file

    # Nobody waits until the files of a test are some seconds old.
    source_file._TICK_NS = 0  # type: ignore[misc]
    folder, opened = f"{sys.argv.pop(1)}{os.sep}", list[str]()

    def see(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(folder):
            opened.append(str(arguments[0]).removeprefix(folder))

    sys.addaudithook(see)
    code = command()
    print(json.dumps(opened), file=sys.stderr)
    return code


def change(path: Path, *, is_replaced: bool) -> None:
    """Change four bytes near the end of a file, or put another in its place, of the same size and time."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-6:-2] = bytes(byte ^ 0x15 for byte in data[-6:-2])
    target = path.with_name("draft") if is_replaced else path
    with target.open("r+b" if target.exists() else "wb") as opened:
        opened.write(data)
    target.replace(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.skipif(os.name == "nt", reason="no status there tells of every write")
def test_nothing_is_read_where_nothing_is_to_do_and_every_change_is_seen(tmp_path: Path) -> None:
    home, music = tmp_path / "home", tmp_path / "Music"
    songs = [write_song(music / "Album" / f"Song {number}.wav", 0.3, seed=number) for number in range(SONGS)]
    run(home, music)
    # What was just made is read once.
    opened, end = run(home, music)
    assert (len(opened) > SONGS * 5, end["reused"]) == (True, SONGS)
    opened, end = run(home, music)
    assert (opened, end["reused"]) == ([], SONGS)
    for number, is_replaced in enumerate((False, True)):
        change(songs[number], is_replaced=is_replaced)
        change(sorted(songs[2 + number].with_suffix(".stems").iterdir())[0], is_replaced=is_replaced)
    opened, end = run(home, music)
    assert (end["done"], end["reused"]) == (4, 2)
    assert not [name for name in opened if name.startswith(("Album/Song 4", "Album/Song 5"))]


if __name__ == "__main__":
    sys.exit(main())
