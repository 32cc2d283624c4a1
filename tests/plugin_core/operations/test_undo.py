"""What stembridge wrote is taken back, step by step and wherever the song is; what anybody else wrote stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from plugin_core import Session
from plugin_core.errors import SourceError, UsageError
from plugin_core.model import Written
from plugin_core.operations.undo import Values, find_strange, take_apart, take_back, without
from plugin_core.tags.fields import TagSet
from plugin_core.tags.reader import read_fields
from plugin_core.tags.writer import write_tags
from tests.plugin_core.cli.fakes import write_song
from tests.plugin_core.operations.running import tag
from tests.plugin_core.tagger_fakes import FakeTagger


@pytest.mark.parametrize("how", ["in place", "renamed", "copied", "link"])
def test_undo_finds_the_song_wherever_it_is(session: Session, song: Path, tmp_path: Path, how: str) -> None:
    before = song.read_bytes()
    tag(session, song)
    place = song
    if how == "renamed":
        place = song.rename(tmp_path / "other.flac")
    elif how == "copied":
        place = Path(shutil.copy(song, tmp_path / "copy.flac"))
    elif how == "link":
        place = tmp_path / "link.flac"
        place.symlink_to(song)
    assert session.undo(place).exact
    assert place.read_bytes() == before


@pytest.mark.parametrize("is_moved", [False, True], ids=["in-place", "moved"])
def test_undo_tells_songs_apart_that_became_the_same(
    session: Session, song: Path, tmp_path: Path, *, is_moved: bool
) -> None:
    twin = tmp_path / "twin.flac"
    shutil.copy(song, twin)
    write_tags(song, TagSet({"mood": ("Sad",), "genre": ("Jazz",)}))
    write_tags(twin, TagSet({"mood": ("Mad",), "genre": ("Punk",)}))
    before = song.read_bytes()
    for each in (song, twin):
        tag(session, each, policy="replace")
    assert song.read_bytes() == twin.read_bytes()
    place = song.rename(tmp_path / "moved.flac") if is_moved else song
    session.undo(place)
    assert place.read_bytes() == before


def test_undo_goes_back_one_tagging_at_a_time(session: Session, song: Path) -> None:
    before = song.read_bytes()
    tag(session, song)
    between = song.read_bytes()
    tag(session, song, policy="replace", labels="zh")
    session.undo(song)
    assert song.read_bytes() == between
    session.undo(song)
    assert song.read_bytes() == before
    with pytest.raises(SourceError, match="undone already"):
        session.undo(song)


def test_undo_leaves_other_changes(session: Session, song: Path) -> None:
    tag(session, song)
    write_tags(song, TagSet({"title": ("Mine",)}))
    undone = session.undo(song)
    assert not undone.exact
    assert read_fields(song) == {"title": ("Mine",)}


def test_undo_knows_a_song_by_its_sound_where_it_was_moved_and_changed(session: Session, song: Path) -> None:
    tag(session, song)
    write_tags(song, TagSet({"title": ("Mine",)}))
    moved = song.rename(song.with_name("Moved.flac"))
    other = write_song(song.with_name("Other.flac"), seconds=2)
    undone = session.undo(moved)
    assert (undone.exact, read_fields(moved)) == (False, {"title": ("Mine",)})
    with pytest.raises(SourceError, match="no labels by stembridge"):
        session.undo(other)


def test_values_that_id3_joins_are_taken_apart_where_they_are_ours() -> None:
    written = Written(
        path=Path("a"),
        before="",
        after="",
        fields={"genre": ("AC/DC", "Rock; Pop", "Calm")},
        previous={"genre": ("AC/DC", "Rock; Pop")},
    )
    for text, parts in {
        "AC/DC/Rock; Pop/Calm": ("AC/DC", "Rock; Pop", "Calm"),
        "Live / AC/DC; Calm": ("Live", "AC/DC", "Calm"),
        "Calmer/Live": ("Calmer/Live",),
        "AC/DC": ("AC/DC",),
    }.items():
        assert take_apart({"genre": (text,)}, [written]) == {"genre": parts}


def test_label_that_somebody_changed_stays_and_the_others_go(session: Session, song: Path) -> None:
    tag(session, song)
    write_tags(song, TagSet({"mood": ("Mine",)}))
    undone = session.undo(song)
    assert (undone.fields, undone.kept, undone.exact) == ({"genre": ()}, ("mood",), False)
    assert read_fields(song) == {"mood": ("Mine",)}
    with pytest.raises(UsageError, match=r"mood of .*Song\.flac changed") as raised:
        session.undo(song)
    assert "--force" in raised.value.remedy
    assert read_fields(song) == {"mood": ("Mine",)}
    session.undo(song, force=True)
    assert read_fields(song) == {}
    with pytest.raises(SourceError, match="undone already"):
        session.undo(song, force=True)


def test_value_that_somebody_added_stays(session: Session, song: Path) -> None:
    write_tags(song, TagSet({"genre": ("Jazz",)}))
    tag(session, song, policy="append")
    assert read_fields(song)["genre"] == ("Jazz", "Rock")
    write_tags(song, TagSet({"genre": ("Jazz", "Rock", "Live")}))
    session.undo(song)
    assert read_fields(song) == {"genre": ("Jazz", "Live")}


@pytest.mark.parametrize("edits", ["after-both", "between", "always"])
@pytest.mark.parametrize("provenance", [False, True], ids=["plain", "provenance"])
def test_every_undo_goes_one_tagging_back_whatever_else_was_edited(
    session: Session, song: Path, edits: str, provenance: bool
) -> None:
    tag(session, song, provenance=provenance)
    first = labels_of(song)
    if edits in ("between", "always"):
        write_tags(song, TagSet({"title": ("Mine",)}))
    tag(session, song, policy="replace", labels="zh", provenance=provenance)
    assert labels_of(song) != first
    if edits in ("after-both", "always"):
        write_tags(song, TagSet({"artist": ("Me",)}))
    session.undo(song)
    assert labels_of(song) == first
    if edits == "always":
        write_tags(song, TagSet({"album": ("Ours",)}))
    session.undo(song)
    assert labels_of(song) == {}
    kept = {"between": {"title": ("Mine",)}, "after-both": {"artist": ("Me",)}}
    always = {"title": ("Mine",), "artist": ("Me",), "album": ("Ours",)}
    assert read_fields(song) == kept.get(edits, always)
    for force in (False, True):
        with pytest.raises(SourceError, match="undone already"):
            session.undo(song, force=force)


def test_taggings_of_other_fields_are_taken_back_one_by_one(session: Session, song: Path) -> None:
    tag(session, song, dimensions=("mood",))
    tag(session, song, dimensions=("genre",))
    write_tags(song, TagSet({"title": ("Mine",)}))
    session.undo(song)
    assert read_fields(song) == {"title": ("Mine",), "mood": ("Calm",)}
    session.undo(song)
    assert read_fields(song) == {"title": ("Mine",)}


def test_label_of_somebody_between_two_taggings_is_where_undo_ends(session: Session, song: Path) -> None:
    tag(session, song, dimensions=("mood",))
    write_tags(song, TagSet({"mood": ("Mine",)}))
    tag(session, song, dimensions=("mood",), policy="replace", labels="zh")
    session.undo(song)
    assert read_fields(song) == {"mood": ("Mine",)}
    with pytest.raises(UsageError, match="changed since stembridge wrote it"):
        session.undo(song)
    assert read_fields(song) == {"mood": ("Mine",)}


def test_tagged_again_after_an_undo(session: Session, song: Path) -> None:
    for _ in range(2):
        tag(session, song)
        write_tags(song, TagSet({"title": ("Mine",)}))
        session.undo(song)
        assert read_fields(song) == {"title": ("Mine",)}
    with pytest.raises(SourceError, match="undone already"):
        session.undo(song)


def test_another_song_that_came_to_the_place_is_left_alone(session: Session, song: Path) -> None:
    tag(session, song)
    write_song(song, seconds=2.0)
    write_tags(song, TagSet({"mood": ("Calm",), "genre": ("Rock",)}))
    with pytest.raises(SourceError, match="no labels by stembridge"):
        session.undo(song)
    assert read_fields(song) == {"mood": ("Calm",), "genre": ("Rock",)}


def labels_of(song: Path) -> dict[str, tuple[str, ...]]:
    return {name: values for name, values in read_fields(song).items() if name in ("mood", "genre")}


def test_provenance_leads_back_from_a_song_changed_and_moved(session: Session, song: Path, tmp_path: Path) -> None:
    tag(session, song, provenance=True)
    assert "STEMBRIDGE_MUSICTAG" in song.read_bytes().decode("latin-1")
    write_tags(song, TagSet({"title": ("Mine",)}))
    moved = song.rename(tmp_path / "moved.flac")
    session.undo(moved)
    assert read_fields(moved) == {"title": ("Mine",)}


def test_undo_of_a_song_never_labelled_is_told(session: Session, song: Path) -> None:
    with pytest.raises(SourceError, match="no labels by stembridge"):
        session.undo(song)


def test_dry_undo_changes_nothing(session: Session, song: Path) -> None:
    tag(session, song)
    labelled = song.read_bytes()
    assert session.undo(song, dry_run=True).fields == {"mood": (), "genre": ()}
    assert song.read_bytes() == labelled


def test_labels_are_not_bought_again_after_an_undo(session: Session, song: Path, tagger: FakeTagger) -> None:
    tag(session, song)
    session.undo(song)
    tag(session, song)
    assert read_fields(song)["mood"] == ("Calm",)
    assert len(tagger.submitted) == 1


@pytest.mark.parametrize(
    ("here", "ours", "before", "expected"),
    [
        (("Calm",), ("Calm",), (), ()),
        (("Calm",), ("Calm",), ("Happy",), ("Happy",)),
        (("Jazz", "Rock"), ("Jazz", "Rock"), ("Jazz",), ("Jazz",)),
        (("Jazz", "Rock", "Live"), ("Jazz", "Rock"), ("Jazz",), ("Jazz", "Live")),
        (("Rock",), ("Jazz", "Rock"), ("Jazz",), ()),
        (("Calm", "Mine"), ("Calm",), ("Happy",), ("Happy", "Mine")),
        (("Mine",), ("Calm",), (), None),
        ((), ("Calm",), ("Happy",), None),
        (("Mine",), ("Happy",), ("Happy", "Sad"), None),
    ],
    ids=["filled", "replaced", "appended", "more", "less", "replaced-more", "other", "removed", "fewer"],
)
def test_our_part_goes_and_theirs_stays(here: Values, ours: Values, before: Values, expected: Values | None) -> None:
    assert without(here, ours, before) == expected


def test_fields_that_are_back_already_need_nothing() -> None:
    written = Written(
        path=Path("song"),
        before="a",
        after="b",
        fields={"mood": ("Calm",), "genre": ("Rock",), "scene": ("Rain",)},
        previous={"genre": ("Jazz",)},
    )
    found = {"mood": ("Mine",), "genre": ("Jazz",), "scene": ("Rain",)}
    taken = take_back(found, written)
    assert (taken.fields, taken.kept) == ({"scene": ()}, ("mood",))
    forced = take_back(found, written, ("mood", "scene"))
    assert (forced.fields, forced.kept) == ({"mood": (), "scene": ()}, ())


def test_a_field_is_strange_that_is_not_what_it_was_before_all_changes() -> None:
    last = Written(path=Path("song"), before="b", after="c", fields={"mood": ("b",)}, previous={"mood": ("a",)})
    first = Written(path=Path("song"), before="a", after="b", fields={"mood": ("a",), "genre": ("a",)})
    assert find_strange({}, [last, first]) == ()
    assert find_strange({"mood": ("a",)}, [last, first]) == ("mood",)
    assert find_strange({"genre": ("x",)}, [last, first]) == ("genre",)
