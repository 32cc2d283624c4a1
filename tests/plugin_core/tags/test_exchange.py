"""A changed copy takes a file's place whole, with what belongs to the file, and never over what somebody else wrote."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_core.errors import PlacementError, SourceError, TransientError
from plugin_core.files.placement import swap_names
from plugin_core.tags import exchange
from plugin_core.tags.exchange import ReplaceOptions, check_replaceable, draft_of, dress, real_file, replace_with
from tests.plugin_core.tags.tagged_files import names

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.flac"
    path.write_bytes(b"old" * 1000)
    return path


def swap(path: Path, options: ReplaceOptions | None = None) -> list[str]:
    """Replace the bytes and return the notes."""
    file = real_file(path)
    options = options or ReplaceOptions()
    check_replaceable(file, options)
    with draft_of(file, "mark") as draft:
        draft.copy.write_bytes(b"new")
        dress(draft, options)
        replace_with(draft)
        return draft.notes


def test_mode_and_attributes_stay(song: Path) -> None:
    song.chmod(0o640)
    try:
        os.setxattr(song, "user.rating", b"5")
    except OSError:
        pytest.skip("no extended attributes here")
    swap(song)
    assert song.read_bytes() == b"new"
    assert song.stat().st_mode & 0o777 == 0o640
    assert os.getxattr(song, "user.rating") == b"5"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_owner_stays(song: Path) -> None:
    os.chown(song, 12345, 12346)
    assert swap(song) == []
    assert (song.stat().st_uid, song.stat().st_gid) == (12345, 12346)


def test_owner_that_cannot_stay_is_said(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    with draft_of(song, "mark") as draft:
        draft.status = os.stat_result((*draft.status[:4], 12345, *draft.status[5:]))
        monkeypatch.setattr(os, "chown", refuse)
        dress(draft, ReplaceOptions())
    assert "belongs to you now" in draft.notes[0]


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "new"])
def test_time_of_change(song: Path, keep: bool) -> None:
    os.utime(song, (1000, 1000))
    swap(song, ReplaceOptions(keep_mtime=keep))
    assert (song.stat().st_mtime == 1000) is keep


def test_symbolic_link_stays_and_its_file_changes(song: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / "link.flac"
    link.symlink_to(song)
    swap(link)
    assert link.is_symlink()
    assert song.read_bytes() == b"new"
    assert names(tmp_path / "other") == ["link.flac"]


def test_hard_link_is_broken_and_said(song: Path, tmp_path: Path) -> None:
    os.link(song, tmp_path / "twin.flac")
    assert swap(song) == ["1 other name(s) of this file (hard links) keep the old tags"]
    assert (tmp_path / "twin.flac").read_bytes() == b"old" * 1000


def test_hard_link_is_refused_on_request(song: Path, tmp_path: Path) -> None:
    os.link(song, tmp_path / "twin.flac")
    with pytest.raises(PlacementError, match="2 names"):
        swap(song, ReplaceOptions(hard_links="refuse"))
    assert song.read_bytes() == b"old" * 1000


@pytest.mark.parametrize("mode", [0o444, 0o400], ids=oct)
def test_read_only_file_is_refused_for_root_as_well(song: Path, mode: int) -> None:
    song.chmod(mode)
    with pytest.raises(PlacementError, match="read-only"):
        swap(song)


def test_loop_of_links_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(SourceError, match="cannot be reached"):
        real_file(tmp_path / "a")


@pytest.mark.parametrize("moment", ["before the last look", "right after it"])
@pytest.mark.parametrize("change", ["append", "replace", "touch"])
def test_file_changed_meanwhile_is_never_replaced(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, moment: str
) -> None:
    def meddle() -> None:
        if change == "append":
            with song.open("ab") as opened:
                opened.write(b"more")
        elif change == "replace":
            (tmp_path / "mine").write_bytes(b"mine!" * 600)
            (tmp_path / "mine").replace(song)
        else:
            os.utime(song, ns=(5, 5))
        theirs.append(song.read_bytes())

    theirs: list[bytes] = []
    with pytest.raises(TransientError, match="being written"), draft_of(song, "mark") as draft:
        dress(draft, ReplaceOptions())
        if moment == "right after it":
            after_last_look(monkeypatch, meddle)
        else:
            meddle()
        replace_with(draft)
    assert song.read_bytes() == theirs[0]
    assert names(tmp_path) == ["song.flac"]


def after_last_look(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let another program act between the last look at a file and the rename over it."""
    look = exchange.require_same

    def look_and_act(draft: exchange.Draft) -> None:
        look(draft)
        act()

    monkeypatch.setattr(exchange, "require_same", look_and_act)


@pytest.mark.parametrize("later", [("second",), ("second", "third")])
def test_of_versions_that_come_in_the_last_moment_the_newest_stays(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: tuple[str, ...]
) -> None:
    def bring(name: str) -> None:
        (tmp_path / "mine").write_bytes(name.encode())
        (tmp_path / "mine").replace(song)

    def swap_and_bring(one: Path, other: Path) -> None:
        real_swap(one, other)
        if versions:
            bring(versions.pop())

    real_swap, versions = swap_names, list(reversed(later))
    after_last_look(monkeypatch, lambda: bring("first"))
    monkeypatch.setattr(exchange, "swap_names", swap_and_bring)
    with pytest.raises(TransientError, match="being written"):
        swap(song)
    assert (song.read_bytes(), names(tmp_path)) == (later[-1].encode(), ["song.flac"])


def test_file_deleted_in_the_last_moment_does_not_come_back(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_last_look(monkeypatch, song.unlink)
    with pytest.raises(TransientError, match="being written"):
        swap(song)
    assert names(tmp_path) == []


def test_file_is_replaced_where_the_file_system_swaps_no_names(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_one: Path, _other: Path) -> None:
        raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr(exchange, "swap_names", refuse)
    swap(song)
    assert song.read_bytes() == b"new"


def test_odd_names_work(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\n" + b"x" * 240 + b".flac")
    path.write_bytes(b"old")
    swap(path)
    assert path.read_bytes() == b"new"
