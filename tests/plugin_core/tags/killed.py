"""Forks writers of tags and kills each at a random moment: ``python -m tests.plugin_core.tags.killed [COUNT]``.

200 kills unless another COUNT is given, while labels are written and taken out again. It goes on until some found a
new file and some a copy: on a busy machine it takes more of them. Prints how many kills found the old file, the new
file, and a copy left beside it, all of which were known and swept; any other content, and a copy that nobody knows of,
ends it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from plugin_core.files.hidden import HiddenNotes
from plugin_core.files.names import HIDDEN_PREFIX
from plugin_core.model import Tagging
from plugin_core.tags.labels import decide
from plugin_core.tags.tagger import Writing, restore_exactly, write_labels
from tests.plugin_core.tagger_fakes import LABELS
from tests.plugin_core.tags.tagged_files import make_source

KINDS = ("mp3", "mp3-v23", "wav", "aiff", "flac", "ogg", "opus", "m4a", "wma", "wv")

MOST = 20
"""How many times the kills that were asked for are tried."""

WISH = Tagging(provider="ears", policy="replace")


def write_and_undo(path: Path, home: Path) -> tuple[str, str]:
    """Write labels and take them out again; return the hashes of both files."""
    writing = Writing(path, str(os.getpid()), notes=HiddenNotes(home))
    written = write_labels(writing, lambda existing: decide(LABELS, WISH, existing), lambda _written: None)
    after = hash_of(path)
    restore_exactly(writing, written)
    return hash_of(path), after


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def work_for_ever(song: Path, home: Path) -> None:
    while True:
        write_and_undo(song, home)


def main(root: Path, count: int) -> None:
    """Kill ``count`` writers, each at work on one of the songs."""
    home, folder = root / "home", root / "songs"
    folder.mkdir()
    for kind in KINDS:
        path = make_source(root, kind)
        path.rename(folder / f"{kind}{path.suffix}")
    songs = sorted(folder.iterdir())
    originals = {song: song.read_bytes() for song in songs}
    hashes, seconds, rng = {}, {}, random.Random(7)
    for song in songs:
        begun = time.perf_counter()
        hashes[song] = write_and_undo(song, home)
        seconds[song] = time.perf_counter() - begun
        assert song.read_bytes() == originals[song]
    found = {"old": 0, "new": 0, "copies": 0}
    for number in itertools.count():
        if number >= count and ((found["new"] and found["copies"]) or number >= MOST * count):
            break
        song = songs[number % len(songs)]
        child = os.fork()
        if not child:
            work_for_ever(song, home)
        time.sleep(rng.uniform(0.001, seconds[song] * 1.5))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found[("old", "new")[hashes[song].index(hash_of(song))]] += 1
        song.write_bytes(originals[song])
        left = sorted(folder.glob(f"{HIDDEN_PREFIX}*"))
        notes = HiddenNotes(home)
        # What `doctor` tells of, and `prune` and the next writer remove.
        assert sorted(notes.find()) == left
        assert sorted(notes.sweep()) == left
        found["copies"] += len(left)
        assert sorted(folder.iterdir()) == songs
    print(f"{number} kills: {found}, 0 damaged, 0 left after a sweep")


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        main(Path(made), int(sys.argv[1]) if len(sys.argv) > 1 else 200)
