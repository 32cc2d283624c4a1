from __future__ import annotations

import errno
import hashlib
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_core.tags import pieces as pieces_module
from plugin_core.tags.pieces import (
    MAX_RECIPE,
    Piece,
    PieceError,
    RecipeError,
    digest,
    join,
    lay,
    read_recipe,
    write_recipe,
)

NOISE = random.Random(2).randbytes(3_000_000)
CASES: dict[str, list[Piece]] = {
    "nothing": [],
    "whole": [(0, 3_000_000)],
    "appended": [(0, 4), b"SIZE", (8, 2_999_992), b"id3 tag"],
    "shifted": [b"a new head", (100, 2_999_900)],
    "shortened": [(0, 2_000_000)],
    "turned": [(1_000_000, 2_000_000), b"x", (0, 10), (500, 400_000)],
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old"
    path.write_bytes(NOISE)
    return path


def made_of(pieces: list[Piece]) -> bytes:
    return b"".join(piece if isinstance(piece, bytes) else NOISE[piece[0] : sum(piece)] for piece in pieces)


@pytest.mark.parametrize("kernel", ["copies", "refuses", "stops", "has-no-call"])
@pytest.mark.parametrize("case", CASES)
def test_pieces_become_the_file(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, kernel: str
) -> None:
    pieces, new = CASES[case], tmp_path / "new"
    new.touch()
    if kernel == "has-no-call":
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    elif kernel != "copies":
        monkeypatch.setattr(os, "copy_file_range", refuse if kernel == "refuses" else stop, raising=False)
    lay(pieces, old, new)
    assert new.read_bytes() == made_of(pieces)
    assert digest(pieces, old) == hashlib.sha256(made_of(pieces)).hexdigest()


def refuse(*_arguments: object) -> int:
    raise OSError(errno.EXDEV, "no")


def stop(*_arguments: object) -> int:
    return 0


@pytest.mark.parametrize("piece", [(2_999_999, 2), (4_000_000, 1), (2_000_000, 2_000_000)])
def test_piece_outside_the_file_is_told(old: Path, tmp_path: Path, piece: Piece) -> None:
    (tmp_path / "new").touch()
    for work in (lambda: lay([b"x", piece], old, tmp_path / "new"), lambda: digest([piece], old)):
        with pytest.raises(PieceError, match="too short"):
            work()


def test_neighbours_are_joined() -> None:
    assert join([b"", (0, 4), (4, 4), b"a", b"b", (9, 0), (9, 1), (8, 2)]) == [(0, 8), b"ab", (9, 1), (8, 2)]


def test_errors_of_the_disk_come_through(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_words: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pieces_module, "copy_file", fail)
    (tmp_path / "new").touch()
    with pytest.raises(OSError, match="No space"):
        lay(CASES["whole"], old, tmp_path / "new")


SOUND = random.Random(1).randbytes(1_000_000)


def way_back(folder: Path, old: bytes, new: bytes, pieces: list[Piece] | None = None) -> tuple[bytes, bytes]:
    """Return the recipe and what it gives."""
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    recipe = write_recipe([new] if pieces is None else pieces, folder / "old")
    (folder / "back").write_bytes(b"")
    lay(read_recipe(recipe), folder / "new", folder / "back")
    found = (folder / "back").read_bytes()
    assert digest(read_recipe(recipe), folder / "new") == hashlib.sha256(found).hexdigest()
    return recipe, found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SOUND, SOUND),
        (b"head" + SOUND, b"a longer head" + SOUND),
        (SOUND + b"tail", SOUND),
        (SOUND[:5000] + b"ab" + SOUND[5000:], SOUND[:5000] + b"xyz" + SOUND[5000:]),
        (SOUND[:9000] + SOUND[20000:30000] + SOUND[9000:], SOUND + SOUND[20000:30000]),
        (b"\0" * 50_000 + SOUND, SOUND),
    ],
    ids=["same", "head", "tail", "middle", "moved", "padding"],
)
def test_old_file_comes_back_from_little(tmp_path: Path, old: bytes, new: bytes) -> None:
    recipe, found = way_back(tmp_path, old, new)
    assert found == old
    assert len(recipe) < 2000


def test_pages_with_other_numbers_are_little_too(tmp_path: Path) -> None:
    pages = [SOUND[place : place + 4000] for place in range(0, len(SOUND), 4000)]
    old = b"".join(f"{number:08}".encode() + page for number, page in enumerate(pages))
    new = b"new page" * 600 + b"".join(f"{number + 7:08}".encode() + page for number, page in enumerate(pages))
    recipe, found = way_back(tmp_path, old, new)
    assert found == old
    assert len(recipe) < 40 * len(pages)


@given(old=st.binary(min_size=1, max_size=3000), new=st.binary(min_size=1, max_size=3000), cut=st.integers(0, 3000))
def test_any_two_files(tmp_path_factory: pytest.TempPathFactory, old: bytes, new: bytes, cut: int) -> None:
    folder = tmp_path_factory.mktemp("recipe")
    assert way_back(folder, old, new + old[cut:] + old[:cut])[1] == old


@given(cuts=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 3000), st.binary(max_size=200)), max_size=6))
def test_any_pieces(tmp_path_factory: pytest.TempPathFactory, cuts: list[tuple[int, int, bytes]]) -> None:
    folder, old = tmp_path_factory.mktemp("recipe"), SOUND[:8000]
    pieces: list[Piece] = [piece for start, length, text in cuts for piece in ((start, length), text)]
    new = b"".join(piece if isinstance(piece, bytes) else old[piece[0] : sum(piece)] for piece in pieces)
    assert way_back(folder, old, new, pieces)[1] == old


def test_picture_that_was_written_elsewhere_is_little(tmp_path: Path) -> None:
    old = SOUND[:1000] + SOUND[10_000:400_000] + SOUND[1000:9000]
    new: list[Piece] = [
        (0, 1000),
        b"a longer title" + SOUND[10_000:200_000],
        (0, 100),
        b"more" + SOUND[200_000:300_000],
        (0, 50),
        SOUND[300_000:400_000],
        (391_000, 8000),
    ]
    whole = b"".join(piece if isinstance(piece, bytes) else old[piece[0] : sum(piece)] for piece in new)
    recipe, found = way_back(tmp_path, old, whole, new)
    assert found == old
    assert len(recipe) < 1000


def test_too_much_gives_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(SOUND[: 2 * MAX_RECIPE])
    assert write_recipe([b"x"], tmp_path / "old") == b""


def test_file_that_is_kept_whole_is_one_piece(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(SOUND[:1000])
    assert read_recipe(write_recipe([b"head", (0, 1000)], tmp_path / "old")) == [(4, 1000)]


@pytest.mark.parametrize("recipe", [b"", b"nonsense"], ids=["empty", "nonsense"])
def test_recipe_that_is_none_is_told(recipe: bytes) -> None:
    with pytest.raises(RecipeError):
        read_recipe(recipe)
