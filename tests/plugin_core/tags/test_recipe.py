from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_core.tags.recipe import MAX_RECIPE, RecipeError, follow_recipe, write_recipe

NOISE = random.Random(1).randbytes(1_000_000)


def way_back(folder: Path, old: bytes, new: bytes) -> tuple[bytes, bytes]:
    """Return the recipe and what it gives."""
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    recipe = write_recipe(folder / "old", folder / "new")
    target = io.BytesIO()
    assert follow_recipe(recipe, folder / "new", target) == hashlib.sha256(target.getvalue()).hexdigest()
    return recipe, target.getvalue()


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


def test_too_much_gives_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(NOISE[: 2 * MAX_RECIPE])
    (tmp_path / "new").write_bytes(b"x")
    assert write_recipe(tmp_path / "old", tmp_path / "new") == b""


@pytest.mark.parametrize("recipe", [b"", b"nonsense"], ids=["empty", "nonsense"])
def test_recipe_that_is_none_is_told(tmp_path: Path, recipe: bytes) -> None:
    (tmp_path / "new").write_bytes(b"new")
    with pytest.raises(RecipeError):
        follow_recipe(recipe, tmp_path / "new", io.BytesIO())


def test_file_too_short_for_its_recipe_is_told(tmp_path: Path) -> None:
    recipe, _ = way_back(tmp_path, NOISE, NOISE)
    (tmp_path / "new").write_bytes(NOISE[:10])
    with pytest.raises(RecipeError, match="too short"):
        follow_recipe(recipe, tmp_path / "new", io.BytesIO())
