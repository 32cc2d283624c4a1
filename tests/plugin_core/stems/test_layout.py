from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.errors import PlacementError
from plugin_core.stems.layout import Layout, read_layout
from tests.plugin_core.stems.builders import make_stem, stage


@pytest.mark.parametrize(
    ("depth", "name", "second"),
    [
        (1, "Mr. Song.stems/Mr. Song - Bass.flac", "Mr. Song (2).stems"),
        (1, "Mr. Song/Bass.flac", "Mr. Song (2)"),
        (2, "Artist/Song.stems/deep/Bass.flac", "Artist/Song (2).stems"),
        (0, "Song v1.2 - Bass.flac", "Song v1.2 - Bass (2).flac"),
        (0, "Stems/Song - Bass.flac", "Stems/Song - Bass (2).flac"),
    ],
)
def test_numbers_and_back(tmp_path: Path, depth: int, name: str, second: str) -> None:
    layout, _ = stage(tmp_path / "staging", depth, {name: b"1"})
    destination = tmp_path / "music"
    assert layout.unit_at(destination, 2) == destination / second
    for number in (1, 2, 37):
        assert layout.locate(layout.unit_at(destination, number)) == (destination, number)
    assert layout.files_at(destination, 1) == [destination / name]
    assert layout.files_at(destination, 3)[0].is_relative_to(destination)
    assert layout.number_of(destination, layout.files_at(destination, 3)) == 3
    assert layout.number_of(destination, [tmp_path / "elsewhere.flac"]) is None


def test_foreign_target_is_refused(tmp_path: Path) -> None:
    layout, _ = stage(tmp_path / "staging", 1, {"Song.stems/Bass.flac": b"1"})
    with pytest.raises(PlacementError):
        layout.locate(tmp_path / "Other.stems")


def test_stems_that_stand_in_place_have_no_layout(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"a")
    assert read_layout(tmp_path / "staging", [make_stem(tmp_path / "a.flac")]) is None
    assert read_layout(tmp_path / "staging", []) is None
    assert isinstance(stage(tmp_path / "staging", 0, {"a.flac": b"a"})[0], Layout)


@pytest.mark.parametrize("neighbours", [0, 1200], ids=["few", "too many to list"])
@pytest.mark.parametrize(
    ("depth", "name", "placed"),
    [
        (1, "Song.stems/Bass.flac", "Song (3).stems/Bass.flac"),
        (0, "Song - Bass.flac", "Song - Bass (3).flac"),
    ],
    ids=["folder", "files"],
)
def test_stems_placed_before_are_found_among_neighbours(
    tmp_path: Path, depth: int, name: str, placed: str, neighbours: int
) -> None:
    layout, stems = stage(tmp_path / "staging", depth, {name: b"1"})
    music = tmp_path / "music"
    (music / placed).parent.mkdir(parents=True)
    for other in ("Song.wav", "Song - Bass.wav", *(f"\u00e9 {number}" for number in range(neighbours))):
        (music / other).touch()
    assert layout.find_begun(music, stems) is None
    (music / placed).write_bytes(b"1")
    assert layout.find_begun(music, stems) == 3
    assert layout.find_begun(music, stems, first=4) is None
