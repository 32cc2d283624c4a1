from __future__ import annotations

import errno
import hashlib
import os
import random
from pathlib import Path

import pytest

from plugin_core.tags import pieces as pieces_module
from plugin_core.tags.pieces import Piece, PieceError, digest, join, lay

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
