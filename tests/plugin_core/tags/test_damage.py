"""Files damaged at random: tagged so that undo gives the very bytes back, or refused in a line and left alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from plugin_core.errors import StembridgeError
from plugin_core.tags.exchange import ReplaceOptions
from plugin_core.tags.tagger import Writing, check_taggable, restore_exactly
from tests.plugin_core.tags.tagged_files import SOURCES, make_source, names
from tests.plugin_core.tags.test_tagger import label

TRIES = 40


def damage(data: bytes, rng: random.Random) -> bytes:
    """Change some bytes where tags lie, at the beginning and the end, or cut the file."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(min(len(changed), 4500)) * rng.choice((1, -1))
        changed[place] = rng.choice((0, 255, rng.randrange(256), changed[place] ^ 1))
    return bytes(changed[: rng.randrange(10, len(changed))] if rng.random() < 0.2 else changed)


@pytest.mark.parametrize("kind", SOURCES)
def test_damaged_song_is_never_made_worse(tmp_path: Path, kind: str) -> None:
    path, rng = make_source(tmp_path, kind), random.Random(kind)
    whole = path.read_bytes()
    for _ in range(TRIES):
        damaged = damage(whole, rng)
        path.write_bytes(damaged)
        try:
            check_taggable(path, ReplaceOptions())
        except StembridgeError as error:
            assert path.name in str(error)
            with pytest.raises(StembridgeError):
                label(path)
        else:
            # What passed the check was paid for: it must not be refused at writing.
            restore_exactly(Writing(path, "mark"), label(path))
        assert path.read_bytes() == damaged
        assert names(tmp_path) == [path.name]
