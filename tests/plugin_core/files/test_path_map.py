"""Paths in a store that several machines read: what is stored, what each makes of it, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.errors import SettingsError
from plugin_core.files.path_map import PathMap, check_folder, read_stored, stored_json, stored_path

HERE = PathMap({"music": Path("/mnt/nas/music"), "work": Path("/mnt/nas")}, is_shared=True)
THERE = PathMap({"music": Path("/Volumes/music")}, is_shared=True)


@pytest.mark.parametrize(
    ("path", "stored", "there"),
    [
        ("/mnt/nas/music/a/b.flac", "music:/a/b.flac", "/Volumes/music/a/b.flac"),
        ("/mnt/nas/music", "music:/", "/Volumes/music"),
        ("/mnt/nas/music/\udcff\n.flac", "music:bytes:2fff0a2e666c6163", "/Volumes/music/\udcff\n.flac"),
        ("/mnt/nas/x.wav", "work:/x.wav", "work:/x.wav"),
        ("/mnt/nas/\udcff", "work:bytes:2fff", "work:bytes:2fff"),
    ],
)
def test_a_path_has_one_name_in_the_store_and_leads_elsewhere_on_each_machine(
    path: str, stored: str, there: str
) -> None:
    with HERE.in_use():
        text = stored_json([Path(path)])
        assert read_stored(text, list[Path]) == [Path(path)]
    assert text == stored_json([stored]) and HERE.sees(Path(path))
    with THERE.in_use():
        assert read_stored(text, list[Path]) == [Path(there)]
        # What this machine does not know is stored again as it was.
        assert stored_json([Path(there)]) == text
    assert THERE.sees(Path(there)) is there.startswith("/")


def test_what_no_other_machine_could_find_is_refused_and_can_be_asked_for() -> None:
    with HERE.in_use():
        with pytest.raises(SettingsError, match=r"/home/me/a\.flac lies in no folder of \[paths\]"):
            stored_json([Path("/home/me/a.flac")])
        assert stored_path(Path("/home/me/a.flac")) == "/home/me/a.flac"
        # A name that only begins like a folder's lies beside it.
        with pytest.raises(SettingsError):
            stored_json([Path("/mnt/nastier/a.flac")])
    assert not HERE.sees(Path("/home/me/a.flac"))


def test_a_path_that_is_in_a_folder_by_a_link_alone_is_told_its_other_name(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    for named, given in (("disk", "link"), ("link", "disk")):
        paths = PathMap({"music": tmp_path / named}, is_shared=True)
        with pytest.raises(SettingsError, match=r"lies in no folder of \[paths\]") as caught:
            paths.encode(tmp_path / given / "a.flac")
        other, real = tmp_path / named / "a.flac", tmp_path / "disk"
        assert caught.value.remedy == f"it is {other} there: call it that, or let [paths] say music = '{real}'"


def test_without_names_paths_are_stored_as_they_are() -> None:
    assert stored_json([Path("/home/me/a.flac")]) == '["/home/me/a.flac"]'
    own = PathMap({"music": Path("/mnt/nas/music")})
    with own.in_use():
        assert stored_json([Path("/home/me/a.flac")]) == '["/home/me/a.flac"]' and own.sees(Path("/home/me/a.flac"))
    assert stored_json([Path("/mnt/nas/music/a.flac")]) == '["/mnt/nas/music/a.flac"]'


def test_wrong_folders_are_told(tmp_path: Path) -> None:
    music, file = tmp_path / "music", tmp_path / "file"
    music.mkdir()
    file.touch()
    (tmp_path / "link").symlink_to(music)
    others = {"music": music}
    assert check_folder("songs", tmp_path / "link", {}) == ""
    for name, folder, wrong in [
        ("m", music, "is no name"),
        ("Music", music, "is no name"),
        ("bytes", music, "is no name"),
        ("staging", music, "is no name"),
        ("songs", Path("music"), "is no whole path"),
        ("songs", file, "is no folder, or its disk is not mounted"),
        ("songs", tmp_path / "absent", "is no folder"),
        ("songs", tmp_path, r"(music) lie one within the other"),
        ("songs", tmp_path / "link", r"(music) lie one within the other"),
    ]:
        assert wrong in check_folder(name, folder, others)
