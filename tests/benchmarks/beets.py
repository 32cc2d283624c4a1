"""What the plugin costs a beets command that does not use it: ``beet ls`` with and without, in turns.

Run: ``python -m tests.benchmarks.beets [--beet /path/to/beet] [--runs 15]``. Prints seconds and the ratio.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.audio_files import write_song


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beet", default=str(Path(sys.executable).with_name("beet")))
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--songs", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        homes = {name: _make_library(Path(folder), name, options) for name in ("without", "with")}
        seconds: dict[str, list[float]] = {name: [] for name in homes}
        for _ in range(options.runs):
            for name, home in homes.items():
                seconds[name].append(_time(options.beet, home))
    # The fastest run is the one that the rest of the machine disturbed least.
    best = {name: min(each) for name, each in seconds.items()}
    for name, each in seconds.items():
        print(f"{name:8} best {best[name]:.3f} s, median {statistics.median(each):.3f} s")
    print(f"ratio    best {best['with'] / best['without']:.3f}", end=", ")
    print(f"median {statistics.median(seconds['with']) / statistics.median(seconds['without']):.3f}")


def _make_library(root: Path, name: str, options: argparse.Namespace) -> Path:
    home = root / name
    songs = home / "songs"
    songs.mkdir(parents=True)
    first = write_song(songs / "0.flac", 0.5)
    for number in range(1, options.songs):
        shutil.copy(first, songs / f"{number}.flac")
    plugins = "[stembridge]" if name == "with" else "[]"
    (home / "config.yaml").write_text(
        f"directory: {home}/library\nlibrary: {home}/library.db\nplugins: {plugins}\n"
        "import: {copy: no, autotag: no}\n",
        encoding="utf-8",
    )
    subprocess.run(
        [options.beet, "import", "-q", "-s", str(songs)], env=_environ(home), check=True, capture_output=True
    )
    return home


def _time(beet: str, home: Path) -> float:
    began = time.perf_counter()
    subprocess.run([beet, "ls"], env=_environ(home), check=True, capture_output=True)
    return time.perf_counter() - began


def _environ(home: Path) -> dict[str, str]:
    return {**os.environ, "BEETSDIR": str(home), "STEMBRIDGE_HOME": str(home / "stembridge")}


if __name__ == "__main__":
    main()
