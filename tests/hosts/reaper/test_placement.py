"""From finished stems to a plan: what stands where, what sounds, and what is there already."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from stembridge_reaper.placed_stems import StandingStems, choose_depths, doubled, folder_name, own_guid, sounds_twice
from stembridge_reaper.placement import Placement
from stembridge_reaper.plan import AddItem, Delete, Find, SetNumbers, SetText, SplitItem
from stembridge_reaper.protocol import (
    FileStatus,
    ItemFacts,
    PartStatus,
    Request,
    RequestProject,
    StandingStem,
    StemResult,
    Tag,
    TrackFacts,
    write_tag,
)
from stembridge_reaper.runs import ReaperSettings
from stembridge_reaper.selection import FinishedItem, find_finished, group_by_file, read_items
from stembridge_reaper.status import describe_skipped

from plugin_core import colour_of, sort_stems
from tests.audio_files import write_song
from tests.hosts.reaper.builders import facts_of

LOOPED = {"D_POSITION": 0.0, "D_LENGTH": 12.0, "B_LOOPSRC": 1.0}


@pytest.mark.parametrize(
    ("source", "own", "tracks"),
    [(0, 0, [1, 0, -1]), (1, 1, [1, 0, -1]), (-1, 0, [1, 0, -2]), (-3, 0, [1, 0, -4])],
    ids=["plain", "folder", "last in folder", "last in three"],
)
def test_folder_depths_add_up(source: int, own: int, tracks: list[int]) -> None:
    assert choose_depths(source, 2) == (own, tracks)
    assert own + sum(tracks) == source


def test_stems_are_sorted_coloured_and_named() -> None:
    assert sort_stems(["kick", "other", "vocals", "bass", "vocals"]) == ["vocals", "bass", "other", "kick"]
    assert colour_of("kick") == colour_of("kick")
    assert colour_of("vocals") == (255, 100, 100)
    assert folder_name(["a", "a"], "T") == "a"
    assert folder_name({"a", "b"}, "T") == "T"
    assert folder_name({"a", "b"}, "") == "Items"


@pytest.mark.parametrize(
    ("stems", "twice"),
    [
        ("vocals drums bass other", ""),
        ("vocals instrumental", ""),
        ("no-vocals", ""),
        ("vocals no-vocals", ""),
        ("vocals drums bass other no-vocals no-drums", "no-vocals no-drums"),
        ("vocals other instrumental", "instrumental"),
        ("lead-vocals back-vocals instrumental", ""),
        ("vocals instrumental drums/2 bass/2 other/2", "drums bass other instrumental"),
        ("vocals drums/2", ""),
    ],
)
def test_what_would_sound_twice_is_silent(stems: str, twice: str) -> None:
    jobs = [(name, job or "1") for name, _, job in (word.partition("/") for word in stems.split())]
    assert doubled(jobs) == set(twice.split())


@pytest.mark.parametrize(
    ("older", "newer", "twice"),
    [
        ("vocals", "vocals", True),
        ("guitar", "vocals drums bass other", True),
        ("vocals", "vocals no-vocals", True),
        ("vocals", "no-vocals", False),
        ("lead-vocals", "instrumental", False),
        ("drums", "no-vocals", True),
        ("instrumental", "drums", True),
        ("no-vocals", "instrumental", True),
        ("instrumental", "vocals", False),
        ("drums", "vocals", False),
    ],
)
def test_an_older_stem_that_would_be_heard_twice(older: str, newer: str, twice: bool) -> None:
    assert sounds_twice(older, newer.split()) == twice


def test_a_file_is_listed_once_with_what_is_used_of_it(tmp_path: Path) -> None:
    one, other = (str(write_song(tmp_path / f"{name}.wav", 1.0)) for name in "ab")
    detour = str(tmp_path / "x" / ".." / "a.wav")
    facts = [facts_of(one, 1.0), facts_of(other), facts_of(detour), facts_of(other, -1.0, 12.0, item_values=LOOPED)]
    items, skipped = read_items(RequestProject(path=""), msgspec.convert(facts, list[ItemFacts]))
    assert not skipped
    files = group_by_file(items)
    assert [(str(file.path), file.spans, file.items) for file in files] == [
        (one, ((0.0, 1.0), (1.0, 2.0)), (0, 2)),
        (other, (), (1, 3)),
    ]


def test_what_is_passed_over_is_counted() -> None:
    assert describe_skipped({"MIDI": 2, "empty": 1}) == "3 items passed over: 2 MIDI, 1 empty"
    assert describe_skipped({}) == ""


@pytest.mark.parametrize("was_muted", [False, True])
def test_stems_that_come_later_sound_as_the_item_did_before_the_first_of_it_muted_it(
    tmp_path: Path, was_muted: bool
) -> None:
    """A second model's stems, or those of another preset."""
    path, project = write_song(tmp_path / "a.wav", 1.0), RequestProject(path="")
    standing: list[StandingStem] = []
    for job, is_muted in (("1", was_muted), ("2", True)):
        facts = facts_of(path)
        facts["item_values"]["B_MUTE"] = float(is_muted)
        now = Request(version=1, id="", created=0.0, kind="place", project=project, standing=tuple(standing))
        stem = StemResult(name="vocals", title="Vocals", path=tmp_path / f"{job}.wav", job=job)
        (item,), _ = read_items(project, [msgspec.convert(facts, ItemFacts)])
        steps = Placement("run", {}, now, ReaperSettings()).plan([FinishedItem(item, True, PartStatus(stems=(stem,)))])
        items = [step for step in steps if isinstance(step, SetNumbers) and "D_POSITION" in dict(step.values)]
        assert [dict(step.values).get("B_MUTE", 0) for step in items] == [int(was_muted)]
        (tag,) = [step.words for step in steps if isinstance(step, SetText) and '"job"' in step.words]
        standing.append(StandingStem(guid="{S}", track="{T}", tag=tag))


def test_of_tracks_that_were_copied_the_first_takes_what_comes(tmp_path: Path) -> None:
    path, project = write_song(tmp_path / "a.wav", 1.0), RequestProject(path="")
    tag = Tag(run="earlier", source="{T}")
    tags = [
        ("{T}", Tag()),
        *((f"{{{name}}}", msgspec.structs.replace(tag, stem=name)) for name in ("folder", "vocals")),
    ]
    tags += [(guid.replace("}", " copied}"), one) for guid, one in tags[1:]]
    tracks = tuple(TrackFacts(guid=one, tag=write_tag(each), values={"I_FOLDERDEPTH": 1.0}) for one, each in tags)
    now = Request(version=1, id="", created=0.0, kind="place", project=project, tracks=tracks)
    (item,), _ = read_items(project, [msgspec.convert(facts_of(path), ItemFacts)])
    part = PartStatus(stems=(StemResult(name="vocals", title="Vocals", path=path, job="1"),))
    steps = Placement("run", {}, now, ReaperSettings()).plan([FinishedItem(item, True, part)])
    found = {step.slot: step.guid for step in steps if isinstance(step, Find)}
    assert [found[step.track] for step in steps if isinstance(step, AddItem)] == ["{vocals}"]


def test_items_that_were_placed_are_looked_at_no_more(tmp_path: Path) -> None:
    """What people undid of a run does not come again with the rest of it."""
    path = write_song(tmp_path / "a.wav", 1.0)
    items = msgspec.convert([facts_of(path) | {"guid": guid} for guid in ("{A}", "{B}")], tuple[ItemFacts, ...])
    run = Request(version=1, id="", created=0.0, kind="separate", project=RequestProject(path=""), items=items)
    part = PartStatus(stems=(StemResult(name="vocals", title="Vocals", path=path, job="1"),))
    files = [FileStatus(path=path, items=(0, 1), state="done", parts=[part])]
    for placed, wanted in (((), ["{A}", "{B}"]), (("{A}",), ["{B}"]), (("{A}", "{B}"), [])):
        now = msgspec.structs.replace(run, kind="place", placed=placed)
        assert [one.item.guid for one in find_finished(run, files, now)[0]] == wanted


def test_nothing_is_deleted_before_the_last_step_that_can_fail(tmp_path: Path) -> None:
    path, project = write_song(tmp_path / "a.wav", 1.0), RequestProject(path="", selection=(0.25, 0.75))
    facts = [facts_of(str(path)) | {"guid": f"{{{number}}}"} for number in (1, 2)]
    items, _ = read_items(project, msgspec.convert(facts, list[ItemFacts]))
    now = Request(version=1, id="", created=0.0, kind="place", project=project)
    part = PartStatus(stems=(StemResult(name="vocals", title="Vocals", path=path, job="1"),))
    settings = ReaperSettings(replace_source=True)
    steps = Placement("run", {}, now, settings).plan([FinishedItem(item, True, part) for item in items])
    kinds = [type(step) for step in steps]
    assert (kinds.count(SplitItem), kinds.count(Delete), kinds[-2:]) == (4, 2, [Delete, Delete])


@pytest.mark.parametrize(
    ("selection", "splits"),
    [((7.3, 7.3 + 1.1), 0), ((7.3 + 1e-12, 9.0), 0), ((0.0, 8.4 - 1e-12), 0), ((7.7, 9.0), 1), ((7.7, 8.0), 2)],
    ids=["all of it", "from its start", "to its end", "its end", "its middle"],
)
def test_an_item_is_not_split_at_its_edges(tmp_path: Path, selection: tuple[float, float], splits: int) -> None:
    """Nor by what numbers are rounded to: REAPER splits none there, and the insertion would be refused."""
    path, project = write_song(tmp_path / "a.wav", 1.0), RequestProject(path="", selection=selection)
    for length in (1.1, 1.1000000000000003, 1.0999999999999999):
        facts = facts_of(str(path), item_values={"D_POSITION": 7.3, "D_LENGTH": length, "B_LOOPSRC": 0.0})
        (item,), _ = read_items(project, [msgspec.convert(facts, ItemFacts)])
        now = Request(version=1, id="", created=0.0, kind="place", project=project)
        part = PartStatus(stems=(StemResult(name="vocals", title="Vocals", path=path, job="1"),))
        steps = Placement("run", {}, now, ReaperSettings()).plan([FinishedItem(item, True, part)])
        assert [type(step) for step in steps].count(SplitItem) == splits


def test_the_part_of_an_item_is_the_same_wherever_the_item_is_moved(tmp_path: Path) -> None:
    path = str(write_song(tmp_path / "a.wav", 1.0))
    guids = set()
    for moved in (0.0, 0.1, 77.7):
        facts = facts_of(path, item_values={"D_POSITION": moved, "D_LENGTH": 1.0, "B_LOOPSRC": 0.0})
        (item,), _ = read_items(
            RequestProject(path="", selection=(0.3 + moved, 0.7 + moved)), [msgspec.convert(facts, ItemFacts)]
        )
        guids.add(item.guid)
    assert len(guids) == 1
    assert guids != {item.whole.guid}


def items_of(path: Path, **values: float) -> ItemFacts:
    """Return an item of ten seconds, as it is by now."""
    keys = {"D_STARTOFFS", "D_PLAYRATE"}
    facts = facts_of(path, length=10.0)
    facts["item_values"] |= {key: value for key, value in values.items() if key not in keys}
    facts["take_values"] |= {key: value for key, value in values.items() if key in keys}
    return msgspec.convert(facts, ItemFacts)


@pytest.mark.parametrize(
    ("now", "used"),
    [
        ({}, (2.0, 2.0, 2.0)),
        ({"D_POSITION": 7.0}, (9.0, 2.0, 2.0)),
        ({"D_POSITION": 1.0, "D_LENGTH": 9.0, "D_STARTOFFS": 1.0}, (2.0, 2.0, 2.0)),
        ({"D_LENGTH": 5.0, "D_PLAYRATE": 2.0}, (1.0, 1.0, 2.0)),
    ],
    ids=["as it was", "moved", "trimmed on the left", "twice as fast"],
)
def test_a_limit_goes_with_what_it_was_set_for(
    tmp_path: Path, now: dict[str, float], used: tuple[float, float, float]
) -> None:
    path = write_song(tmp_path / "a.wav", 1.0)
    project = RequestProject(path="", selection=(2.0, 4.0))
    run = Request(version=2, id="r", created=0.0, kind="separate", project=project, items=(items_of(path),))
    part = PartStatus(start=2.0, end=4.0, stems=(StemResult(name="vocals", title="Vocals", path=path, job="1"),))
    files = [FileStatus(path=path, items=(0,), state="done", parts=[part])]
    asked = msgspec.structs.replace(run, kind="place", items=(items_of(path, **now),))
    ((found, *_),), left = find_finished(run, files, asked)
    assert not left.total()
    values = found.facts.item_values
    assert (values["D_POSITION"], values["D_LENGTH"], found.facts.take_values["D_STARTOFFS"]) == used


@pytest.mark.parametrize(
    ("now", "replaced"),
    [
        ({"D_LENGTH": 1.0}, "1"),
        ({"D_LENGTH": 4.0}, "1 2"),
        ({"D_LENGTH": 3.0, "D_POSITION": 5.0}, "1 2"),
        ({"D_LENGTH": 1.0, "D_POSITION": 2.0, "D_STARTOFFS": 2.0}, "1 2"),
    ],
    ids=["its first part", "longer", "moved", "its last part"],
)
def test_pieces_of_a_stem_are_replaced_with_it_and_copies_are_not(
    tmp_path: Path, now: dict[str, float], replaced: str
) -> None:
    path, project = write_song(tmp_path / "a.wav", 1.0), RequestProject(path="")
    stem = StemResult(name="vocals", title="Vocals", path=path, job="1")
    tag = Tag(run="r", item="{I}", stem="vocals", job="1", at=0.0)

    def stand(guid: str, position: float, offset: float, length: float) -> StandingStem:
        values = {"D_POSITION": position, "D_LENGTH": length, "D_STARTOFFS": offset, "D_PLAYRATE": 1.0}
        return StandingStem(guid=guid, track="{V}", tag=write_tag(tag), values=values)

    standing = (stand("copy", 20.0, 0.0, 3.0), stand("2", 1.0, 1.0, 2.0), stand(own_guid(tag), 0.0, 0.0, 1.0))
    request = Request(version=2, id="", created=0.0, kind="place", project=project, standing=standing)
    (item,), _ = read_items(project, [items_of(path, **now)])
    found = StandingStems(request, {}).replaced_by(FinishedItem(item, True, PartStatus(stems=(stem,))), stem)
    assert sorted(one.stem.guid for one in found) == sorted(replaced.replace("1", own_guid(tag)).split())


def test_stems_are_placed_though_the_song_itself_is_gone(tmp_path: Path) -> None:
    song, stem = (write_song(tmp_path / name, 1.0) for name in ("a.wav", "b.wav"))
    run = Request(
        version=2, id="r", created=0.0, kind="separate", project=RequestProject(path=""), items=(items_of(song),)
    )
    part = PartStatus(stems=(StemResult(name="vocals", title="Vocals", path=stem, job="1"),))
    files = [FileStatus(path=song, items=(0,), state="done", parts=[part])]
    song.unlink()
    for now in (run.items, ()):
        found, left = find_finished(run, files, msgspec.structs.replace(run, kind="place", items=now))
        assert ([one.is_there for one in found], left.total()) == ([bool(now)], 0)
