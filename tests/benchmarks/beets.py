"""What the plugin costs beets, in processor time: a command that does not use it, and a library of thousands of stems.

``beet ls`` with and without the plugin, in turns; then, in a library of many songs with stems, ``beet stembridge`` with
nothing to do, and an import of songs with stems beside them, with and without the plugin.

Run: ``python -m tests.benchmarks.beets [--beet /path/to/beet] [--runs 15] [--songs 20000]``. Prints seconds and ratios.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from tests.audio_files import write_song

LISTED = 200
IMPORTED = (20, 40)
"""Songs of the two imports: twice as many may take twice as long."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beet", default=str(Path(sys.executable).with_name("beet")))
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--songs", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        song = write_song(Path(folder) / "song.flac", 0.5)
        _list_songs(options.beet, Path(folder), song, options.runs)
        _try_large_library(options.beet, Path(folder), song, options.songs)


def _list_songs(beet: str, root: Path, song: Path, runs: int) -> None:
    homes = {name: _make_home(root / "small", name) for name in ("without", "with")}
    for home in homes.values():
        _run(beet, home, "import", "-q", "-A", "-s", str(_make_songs(home / "songs", song, LISTED, has_stems=False)))
    seconds: dict[str, list[float]] = {name: [] for name in homes}
    for _ in range(runs):
        for name, home in homes.items():
            seconds[name].append(_run(beet, home, "ls"))
    # The fastest run is the one that the rest of the machine disturbed least.
    best = {name: min(each) for name, each in seconds.items()}
    for name, each in seconds.items():
        print(f"beet ls {name:8} best {best[name]:.3f} s, median {statistics.median(each):.3f} s")
    print(f"ratio    best {best['with'] / best['without']:.3f}", end=", ")
    print(f"median {statistics.median(seconds['with']) / statistics.median(seconds['without']):.3f}")


def _try_large_library(beet: str, root: Path, song: Path, count: int) -> None:
    for name in ("without", "with"):
        home = _make_home(root / "large", name)
        _run(beet, home, "ls")
        _add_rows(home, count)
        if name == "with":
            best = min(_run(beet, home, "stembridge") for _ in range(3))
            print(f"{count} songs with stems: beet stembridge, nothing to do {best:.3f} s")
        told = []
        for number in IMPORTED:
            songs = _make_songs(home / f"inbox {number}", song, number, has_stems=True)
            told.append(f"{number} in {_run(beet, home, 'import', '-q', '-A', '-s', str(songs)):.2f} s")
        print(f"{count} songs with stems: songs imported {name} the plugin: {', '.join(told)}")


def _make_home(root: Path, name: str) -> Path:
    home = root / name
    home.mkdir(parents=True)
    plugins = "[stembridge]" if name == "with" else "[]"
    (home / "config.yaml").write_text(
        f"directory: {home}/library\nlibrary: {home}/library.db\nplugins: {plugins}\n"
        'import: {copy: yes, autotag: no, duplicate_action: keep}\nignore: [".*", "*.stems"]\n',
        encoding="utf-8",
    )
    return home


def _make_songs(folder: Path, song: Path, count: int, *, has_stems: bool) -> Path:
    folder.mkdir()
    for number in range(count):
        shutil.copy(song, folder / f"{number}.flac")
        if has_stems:
            stems = folder / f"{number}.stems"
            stems.mkdir()
            shutil.copy(song, stems / f"{number} - Vocals.flac")
    return folder


def _add_rows(home: Path, count: int) -> None:
    with closing(sqlite3.connect(home / "library.db")) as library, library:
        for number in range(1, count + 1):
            path = f"{home}/library/old {number}"
            library.execute("INSERT INTO items (id, path, title) VALUES (?, ?, ?)", (number, f"{path}.flac", "Old"))
            fields = {"stems_path": f"{path}.stems", "stems_files": "a.flac", "stems": "vocals", "stems_job": "x"}
            library.executemany(
                "INSERT INTO item_attributes (entity_id, key, value) VALUES (?, ?, ?)",
                [(number, key, value) for key, value in fields.items()],
            )


def _run(beet: str, home: Path, *words: str) -> float:
    """Return the processor time of a ``beet``, which other processes of the machine do not change much."""
    environ = {**os.environ, "BEETSDIR": str(home), "STEMBRIDGE_HOME": str(home / "stembridge")}
    null = subprocess.DEVNULL
    process = subprocess.Popen([beet, *words], env=environ, stdin=null, stdout=null, stderr=null)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"beet {' '.join(words)} failed")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
