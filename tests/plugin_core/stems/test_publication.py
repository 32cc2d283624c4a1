from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin_core.errors import PlacementError, ResultError
from plugin_core.files.placement import rename_exclusive
from plugin_core.model import Stem
from plugin_core.stems import publication
from plugin_core.stems.publication import Companion, choose_target, complete, is_taken, publish, restore_aside
from tests.plugin_core.stems.builders import make_stem, stage, tree

OWN = {"Song.stems/Song - Bass.flac": b"bass", "Song.stems/Song - Drums.flac": b"drums!"}
FLAT = {"Song - Bass.flac": b"bass", "Song - Drums.flac": b"drums!"}


class Crash(BaseException):
    """The process dies here."""


class Scene:
    """A music folder and a job's staging."""

    def __init__(self, folder: Path, files: dict[str, bytes] = OWN, *, is_with_session: bool = False) -> None:
        self.music = folder / "music"
        self.music.mkdir()
        self.staging = folder / "staging" / "id1"
        self.staging.mkdir(parents=True)
        self.layout, self.stems = stage(self.staging, 1 if files is OWN else 0, files)
        self.companions = [SESSION] if is_with_session else []
        self.layout = self.layout.with_beside(one.file for one in self.companions)

    def run(self, earlier: tuple[Stem, ...] = (), target: Path | None = None) -> tuple[Stem, ...]:
        place = target or choose_target(self.layout, self.music, earlier)
        placed = publish(self.layout, self.stems, place, self.staging, earlier, self.companions)
        assert placed.notes == ()
        return (*placed.stems, *placed.projects)


def say_where(place: Path, stems: Sequence[Path]) -> bytes:
    """Write a session that is right only where it stands, and only for stems that stand there."""
    return " ".join([place.name, *(os.path.relpath(stem, place.parent) for stem in stems)]).encode()


SESSION = Companion(name="list", label="", file="Song.list", render=say_where)


@pytest.fixture(params=["own folder", "flat", "own folder and session", "flat and session"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    files = OWN if "own folder" in request.param else FLAT
    return Scene(tmp_path, files, is_with_session="session" in request.param)


def expected(scene: Scene, number: int = 1) -> dict[str, bytes]:
    """Return every file that is to stand under a number, with its bytes."""
    places = scene.layout.files_at(scene.music, number)
    count = len(scene.stems)
    sessions = [one.render(place, places[:count]) for one, place in zip(scene.companions, places[count:], strict=True)]
    return dict(zip(numbered(scene, number), [*OWN.values(), *sessions], strict=True))


def numbered(scene: Scene, number: int) -> list[str]:
    return [str(path.relative_to(scene.music)) for path in scene.layout.files_at(scene.music, number)]


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int, after: bool) -> Callable[[], bool]:
    """Die at the ``step``-th rename, before or after it; tells whether it came to that."""
    count = itertools.count(1)
    hit = []

    def rename(old: Path, new: Path) -> None:
        number = next(count)
        if number == step and not after:
            hit.append(number)
            raise Crash
        rename_exclusive(old, new)
        if number == step:
            hit.append(number)
            raise Crash

    monkeypatch.setattr(publication, "rename_exclusive", rename)
    return lambda: bool(hit)


def test_places_everything_and_leaves_nothing(scene: Scene) -> None:
    stems = scene.run()
    assert tree(scene.music) == expected(scene)
    assert [make_stem(stem.path).sha256 for stem in stems] == [stem.sha256 for stem in stems]
    assert tree(scene.staging) == {}


def test_publishing_twice_is_publishing_once(scene: Scene) -> None:
    target = choose_target(scene.layout, scene.music)
    assert scene.run(target=target) == scene.run(target=target)
    assert tree(scene.music) == expected(scene)


def test_user_s_files_get_a_numbered_neighbour(scene: Scene) -> None:
    theirs = scene.music / numbered(scene, 1)[1]
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_bytes(b"mine")
    scene.run()
    assert tree(scene.music) == expected(scene, 2) | {str(theirs.relative_to(scene.music)): b"mine"}


@pytest.mark.parametrize("name", ["song.STEMS", "Song.stems"], ids=["case", "file"])
def test_names_that_collide_elsewhere_are_avoided(tmp_path: Path, name: str) -> None:
    scene = Scene(tmp_path)
    (scene.music / name).touch()
    assert choose_target(scene.layout, scene.music).name == "Song (2).stems"


def test_normal_forms_collide(tmp_path: Path) -> None:
    (tmp_path / "e\u0301.stems").touch()
    assert is_taken(tmp_path / "\u00e9.stems")
    assert not is_taken(tmp_path / "gone" / "x")


def test_target_taken_after_it_was_chosen(scene: Scene) -> None:
    target = choose_target(scene.layout, scene.music)
    blocker = scene.music / numbered(scene, 1)[-1]
    blocker.parent.mkdir(exist_ok=True)
    blocker.write_bytes(b"late")
    stems = scene.run(target=target)
    assert [str(stem.path.relative_to(scene.music)) for stem in stems] == numbered(scene, 2)
    assert blocker.read_bytes() == b"late"
    assert len(tree(scene.music)) == len(stems) + 1
    assert scene.run(target=target) == stems


def earlier_result(scene: Scene) -> tuple[Stem, ...]:
    """Put an earlier result of the same operation where the new one wants to go."""
    stems = []
    for name in numbered(scene, 1):
        path = scene.music / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"earlier " + name.encode())
        stems.append(make_stem(path))
    return tuple(stems)


def test_untouched_earlier_result_is_swapped(scene: Scene) -> None:
    scene.run(earlier_result(scene))
    assert tree(scene.music) == expected(scene)
    assert tree(scene.staging) == {}


@pytest.mark.parametrize("change", ["edited", "added"])
def test_touched_earlier_result_stays(tmp_path: Path, change: str) -> None:
    scene = Scene(tmp_path)
    earlier = earlier_result(scene)
    (earlier[0].path if change == "edited" else earlier[0].path.with_name("notes.txt")).write_bytes(b"mine")
    before = tree(scene.music)
    scene.run(earlier)
    assert tree(scene.music) == before | dict(zip(numbered(scene, 2), OWN.values(), strict=True))


def test_place_of_an_edited_result_is_not_chosen(scene: Scene) -> None:
    earlier = earlier_result(scene)
    assert choose_target(scene.layout, scene.music, earlier) == scene.layout.unit_at(scene.music, 1)
    earlier[0].path.write_bytes(b"mine")
    assert choose_target(scene.layout, scene.music, earlier) == scene.layout.unit_at(scene.music, 2)


def test_earlier_result_deep_below_the_destination_is_swapped(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.layout, scene.stems = stage(scene.staging, 2, {"Artist/Song/Bass.flac": b"1"})
    place = scene.music / "Artist/Song/Bass.flac"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"earlier")
    scene.run((make_stem(place),))
    assert tree(scene.music) == {"Artist/Song/Bass.flac": b"1"}


def test_result_edited_at_the_last_moment_stays(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = earlier_result(scene)

    def edit_then_rename(old: Path, new: Path) -> None:
        if publication.ASIDE in new.parts:
            earlier[0].path.write_bytes(b"edited now")
        rename_exclusive(old, new)

    monkeypatch.setattr(publication, "rename_exclusive", edit_then_rename)
    scene.run(earlier)
    assert earlier[0].path.read_bytes() == b"edited now"
    assert set(numbered(scene, 2)) <= set(tree(scene.music))


RENAMES = {"own folder": 1, "own folder and session": 1, "flat": 2, "flat and session": 3}
"""How many there are in a scene; setting an earlier result aside takes as many more."""
CRASHES = [
    pytest.param(scene, swapping, step, after, id=f"{scene}-{'swap' if swapping else 'fresh'}-{step}-{word}")
    for scene, renames in RENAMES.items()
    for swapping in (False, True)
    for step in range(1, renames * (1 + swapping) + 1)
    for after, word in ((False, "before"), (True, "after"))
]


@pytest.mark.parametrize(("scene", "swapping", "step", "after"), CRASHES, indirect=["scene"])
def test_crash_at_any_rename(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, step: int, after: bool, swapping: bool
) -> None:
    earlier = earlier_result(scene) if swapping else ()
    target = choose_target(scene.layout, scene.music, earlier)
    with monkeypatch.context() as patch:
        has_crashed = crash_at(patch, step, after)
        with pytest.raises(Crash):
            scene.run(earlier, target)
        assert has_crashed()
        if scene.layout.depth and not swapping:
            # What has a folder of its own appears whole, its session with it.
            assert tree(scene.music) == (expected(scene) if after else {})
    stems = scene.run(earlier, target)
    assert [str(stem.path.relative_to(scene.music)) for stem in stems] == numbered(scene, 1)
    assert tree(scene.music) == expected(scene)


@pytest.mark.parametrize("swapping", [False, True], ids=["fresh", "swap"])
@pytest.mark.parametrize(("scene", "renames"), RENAMES.items(), indirect=["scene"])
def test_there_are_no_more_renames_to_crash_at(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, renames: int, swapping: bool
) -> None:
    earlier = earlier_result(scene) if swapping else ()
    has_crashed = crash_at(monkeypatch, renames * (1 + swapping) + 1, after=False)
    scene.run(earlier)
    assert not has_crashed()


@pytest.mark.parametrize("is_given_up", [True, False], ids=["given up", "staging lost"])
def test_crash_after_setting_aside_costs_no_earlier_result(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, is_given_up: bool
) -> None:
    earlier = earlier_result(scene)
    before = tree(scene.music)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(patch, 1, True)
        scene.run(earlier)
    assert tree(scene.music) != before
    if is_given_up:
        restore_aside(scene.staging, scene.music)
    else:
        shutil.rmtree(scene.layout.root)
        with pytest.raises(ResultError, match="neither in staging nor in its place"):
            scene.run(earlier)
    assert tree(scene.music) == before


def cross_devices(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> None:
    def rename(old: Path, new: Path) -> None:
        if old.is_relative_to(scene.music) != new.is_relative_to(scene.music):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename_exclusive(old, new)

    monkeypatch.setattr(publication, "rename_exclusive", rename)


@pytest.mark.parametrize("swapping", [False, True], ids=["fresh", "swap"])
def test_staging_on_another_device(scene: Scene, monkeypatch: pytest.MonkeyPatch, swapping: bool) -> None:
    cross_devices(monkeypatch, scene)
    earlier = earlier_result(scene) if swapping else ()
    target = choose_target(scene.layout, scene.music, earlier)
    stems = scene.run(earlier, target)
    assert tree(scene.music) == expected(scene)
    assert not list(scene.music.glob(".stembridge-*"))
    assert scene.run(earlier, target) == stems


def test_copy_across_devices_cut_short_is_begun_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    cross_devices(monkeypatch, scene)
    target = choose_target(scene.layout, scene.music)
    with monkeypatch.context() as patch, pytest.raises(Crash):

        def die(old: Path, new: Path) -> None:
            new.write_bytes(b"half")
            raise Crash

        patch.setattr(publication, "copy_file", die)
        scene.run(target=target)
    assert all(name.startswith(".stembridge-id1/") for name in tree(scene.music))
    scene.run(target=target)
    assert tree(scene.music) == expected(scene)


def test_stems_that_are_nowhere_are_said(scene: Scene) -> None:
    target = choose_target(scene.layout, scene.music)
    scene.layout.root.rename(scene.layout.root.with_name("lost"))
    with pytest.raises(PlacementError, match="neither in staging nor in its place"):
        scene.run(target=target)


def test_earlier_files_stay_when_one_of_the_new_ones_is_nowhere(tmp_path: Path) -> None:
    scene = Scene(tmp_path, FLAT)
    earlier = earlier_result(scene)
    before = tree(scene.music)
    scene.stems[-1].path.unlink()
    with pytest.raises(ResultError, match="neither in staging nor in its place"):
        scene.run(earlier)
    assert tree(scene.music) == before
    assert scene.stems[0].path.read_bytes() == b"bass"


def test_refused_rename_is_one_line(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(old: Path, new: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(publication, "rename_exclusive", refuse)
    with pytest.raises(PlacementError, match=r"Permission denied.*--to FOLDER"):
        scene.run()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM], ids=["denied", "forbidden"])
def test_earlier_result_that_may_not_be_moved_stays(scene: Scene, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    earlier = earlier_result(scene)
    before = tree(scene.music)

    def refuse(old: Path, new: Path) -> None:
        if publication.ASIDE in new.parts:
            raise OSError(code, "not yours")
        rename_exclusive(old, new)

    monkeypatch.setattr(publication, "rename_exclusive", refuse)
    target = choose_target(scene.layout, scene.music, earlier)
    stems = scene.run(earlier, target)
    assert tree(scene.music) == before | expected(scene, 2)
    assert scene.run(earlier, target) == stems


def test_failure_leaves_everything_as_it_was_and_can_be_tried_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = earlier_result(scene)
    before, staged = tree(scene.music), tree(scene.staging)
    last = scene.music / numbered(scene, 1)[-1]

    def refuse(old: Path, new: Path) -> None:
        if new in (last, last.parent) and publication.ASIDE not in old.parts:
            raise PermissionError(errno.EACCES, "Permission denied")
        rename_exclusive(old, new)

    with monkeypatch.context() as patch, pytest.raises(PlacementError):
        patch.setattr(publication, "rename_exclusive", refuse)
        patch.setattr(publication, "_NOT_OURS", frozenset())
        scene.run(earlier)
    left = {name: data for name, data in tree(scene.staging).items() if not name.endswith(".list")}
    assert (tree(scene.music), left) == (before, staged)
    target = choose_target(scene.layout, scene.music, earlier, stems=scene.stems)
    assert [str(one.path.relative_to(scene.music)) for one in scene.run(earlier, target)] == numbered(scene, 1)
    assert tree(scene.music) == expected(scene)


def test_what_stands_after_a_failure_is_found_by_a_new_choice(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    def stuck(self: publication.Publication, moved: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch, pytest.raises(PlacementError):
        patch.setattr(publication, "sync_folder", fail)
        patch.setattr(publication.Publication, "_take_back", stuck)
        scene.run()
    assert tree(scene.music)
    target = choose_target(scene.layout, scene.music, stems=scene.stems)
    scene.run(target=target)
    assert tree(scene.music) == expected(scene)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_earlier_result_that_may_not_be_read_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    scene = Scene(tmp_path)
    earlier = earlier_result(scene)
    locked = earlier[0].path if what == "file" else earlier[0].path.parent / "locked"
    if what == "folder":
        locked.mkdir()
    before = tree(scene.music)

    def guard(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            if Path(path) == locked:
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, *arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", guard(Path.open))
        patch.setattr(os, "scandir", guard(os.scandir))
        scene.run(earlier)
    assert tree(scene.music) == before | dict(zip(numbered(scene, 2), OWN.values(), strict=True))


def test_shared_folders_are_made_and_a_file_in_their_place_is_said(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.layout, scene.stems = stage(scene.staging, 2, {"Artist/Song/Bass.flac": b"1"})
    scene.run()
    assert tree(scene.music) == {"Artist/Song/Bass.flac": b"1"}
    scene.layout, scene.stems = stage(scene.staging, 2, {"Band/Song/Bass.flac": b"1"})
    (scene.music / "Band").touch()
    with pytest.raises(PlacementError):
        scene.run()


def test_a_session_is_put_beside_stems_that_stand_and_never_over_anything(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    stems = scene.run()
    place = scene.music / "Song.stems/Song.list"
    data, staging = say_where(place, [stem.path for stem in stems]), tmp_path / "staging" / "id2"
    for _ in range(2):
        placed = complete(stems, [SESSION], [place], staging)
        assert (placed.stems, placed.notes, place.read_bytes()) == (stems, (), data)
        assert [make_stem(place).sha256] == [one.sha256 for one in placed.projects]
    place.write_bytes(b"mine")
    refused = complete(stems, [SESSION], [place], staging)
    assert (refused.projects, place.read_bytes()) == ((), b"mine")
    assert refused.notes == ("Song.list is there and not as it would be made: it stays as it is",)
    assert tree(staging) == {}


def test_an_equal_session_that_stands_is_not_taken_back_with_what_another_hinders(tmp_path: Path) -> None:
    scene = Scene(tmp_path, FLAT, is_with_session=True)
    scene.companions.append(msgspec.structs.replace(SESSION, file="Song.second"))
    scene.layout = scene.layout.with_beside(["Song.second"])
    stands = scene.music / "Song.list"
    stands.write_bytes(expected(scene)["Song.list"])
    earlier = (make_stem(stands),)
    target = choose_target(scene.layout, scene.music, earlier)
    (scene.music / "Song.second").write_bytes(b"mine")
    scene.run(earlier, target)
    assert tree(scene.music) == expected(scene, 2) | {"Song.second": b"mine", "Song.list": expected(scene)["Song.list"]}
