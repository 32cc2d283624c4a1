from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_core.tags.pieces import Piece, digest, lay
from plugin_core.tags.recipe import MAX_RECIPE, RecipeError, read_recipe, write_recipe

NOISE = random.Random(1).randbytes(1_000_000)


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
        (NOISE, NOISE),
        (b"head" + NOISE, b"a longer head" + NOISE),
        (NOISE + b"tail", NOISE),
        (NOISE[:5000] + b"ab" + NOISE[5000:], NOISE[:5000] + b"xyz" + NOISE[5000:]),
        (NOISE[:9000] + NOISE[20000:30000] + NOISE[9000:], NOISE + NOISE[20000:30000]),
        (b"\0" * 50_000 + NOISE, NOISE),
    ],
    ids=["same", "head", "tail", "middle", "moved", "padding"],
)
def test_old_file_comes_back_from_little(tmp_path: Path, old: bytes, new: bytes) -> None:
    recipe, found = way_back(tmp_path, old, new)
    assert found == old
    assert len(recipe) < 2000


def test_pages_with_other_numbers_are_little_too(tmp_path: Path) -> None:
    pages = [NOISE[place : place + 4000] for place in range(0, len(NOISE), 4000)]
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
    folder, old = tmp_path_factory.mktemp("recipe"), NOISE[:8000]
    pieces: list[Piece] = [piece for start, length, text in cuts for piece in ((start, length), text)]
    new = b"".join(piece if isinstance(piece, bytes) else old[piece[0] : sum(piece)] for piece in pieces)
    assert way_back(folder, old, new, pieces)[1] == old


def test_picture_that_was_written_elsewhere_is_little(tmp_path: Path) -> None:
    old = NOISE[:1000] + NOISE[10_000:400_000] + NOISE[1000:9000]
    new: list[Piece] = [
        (0, 1000),
        b"a longer title" + NOISE[10_000:200_000],
        b"more" + NOISE[200_000:400_000],
        (391_000, 8000),
    ]
    made = new[1:3]
    whole = NOISE[:1000] + b"".join(piece for piece in made if isinstance(piece, bytes)) + NOISE[1000:9000]
    recipe, found = way_back(tmp_path, old, whole, new)
    assert found == old
    assert len(recipe) < 1000


def test_too_much_gives_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(NOISE[: 2 * MAX_RECIPE])
    assert write_recipe([b"x"], tmp_path / "old") == b""


@pytest.mark.parametrize("recipe", [b"", b"nonsense"], ids=["empty", "nonsense"])
def test_recipe_that_is_none_is_told(recipe: bytes) -> None:
    with pytest.raises(RecipeError):
        read_recipe(recipe)
