"""An overlay is to whoever edits it what the file would be, and the file below never changes."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutagen._util import resize_bytes

from plugin_core.tags.overlay import Overlay
from plugin_core.tags.pieces import digest, lay, total_of

NOISE = random.Random(3).randbytes(300_000)


@pytest.fixture
def below(tmp_path: Path) -> Path:
    path = tmp_path / "below"
    path.write_bytes(NOISE)
    return path


def content(overlay: Overlay) -> bytes:
    overlay.seek(0)
    return overlay.read()


STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 9000), st.binary(max_size=6000)),
    st.tuples(st.just("same"), st.integers(0, 9000), st.integers(0, 6000)),
    st.tuples(st.just("resize"), st.integers(0, 5000), st.integers(0, 9000)),
    st.tuples(st.just("truncate"), st.integers(0, 9000), st.just(0)),
    st.tuples(st.just("read"), st.integers(0, 9000), st.integers(0, 6000)),
)


@given(size=st.integers(0, 8000), steps=st.lists(STEPS, max_size=12))
def test_it_does_what_a_file_does(
    tmp_path_factory: pytest.TempPathFactory, size: int, steps: list[tuple[str, int, int | bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("overlay")
    path, target = folder / "below", folder / "target"
    path.write_bytes(NOISE[:size])
    with path.open("rb") as opened:
        overlay, model = Overlay(opened), io.BytesIO(NOISE[:size])
        for step in steps:
            assert take(cast("BinaryIO", overlay), *step) == take(model, *step)
        expected = model.getvalue()
        assert content(overlay) == expected
        pieces = overlay.pieces
    assert path.read_bytes() == NOISE[:size]
    target.touch()
    lay(pieces, path, target)
    assert target.read_bytes() == expected
    assert total_of(pieces) == len(expected)
    assert digest(pieces, path) == hashlib.sha256(expected).hexdigest()


def take(file: BinaryIO, what: str, place: int, more: int | bytes) -> object:
    """Do one thing to a file and return what can be seen of it."""
    if what == "truncate":
        # A BytesIO does not grow by it, a file does.
        return file.truncate(min(place, file.seek(0, 2)))
    if what == "resize" and isinstance(more, int):
        end = file.seek(0, 2)
        start = min(place, end)
        resize_bytes(file, min(1000, end - start), more, start)
        return file.tell()
    file.seek(place)
    if isinstance(more, bytes):
        return file.write(more), file.tell()
    data = file.read(more)
    if what == "same":
        file.seek(place)
        file.write(bytes(data))
    return bytes(data), file.tell()


def test_what_moves_is_no_new_byte(below: Path) -> None:
    with below.open("rb") as opened:
        overlay = Overlay(opened)
        resize_bytes(overlay, 10, 5000, 100)
        overlay.seek(0)
        overlay.write(NOISE[:100])
        new = [piece for piece in overlay.pieces if isinstance(piece, bytes)]
    assert sum(map(len, new)) < 5000


def test_own_resize_moves_as_mutagen_does(below: Path) -> None:
    with below.open("rb") as opened:
        ours, theirs = Overlay(opened), Overlay(opened)
        for old, new in ((10, 70_000), (70_000, 3), (3, 3)):
            ours.resize(100, old, new)
            resize_bytes(theirs, old, new, 100)
            assert content(ours)[:100] == content(theirs)[:100]
            assert content(ours)[100 + new :] == content(theirs)[100 + new :]


def test_few_changed_bytes_of_a_long_write_are_few(below: Path) -> None:
    changed = bytearray(NOISE[:200_000])
    changed[5] ^= 1
    changed[150_000] ^= 1
    with below.open("rb") as opened:
        overlay = Overlay(opened)
        overlay.write(changed)
        assert content(overlay) == bytes(changed) + NOISE[200_000:]
        assert sum(len(piece) for piece in overlay.pieces if isinstance(piece, bytes)) < 1000


def test_place_before_the_beginning_is_an_error(below: Path) -> None:
    with below.open("rb") as opened, pytest.raises(OSError, match="Invalid"):
        Overlay(opened).seek(-1)
