"""Cases 9, 10, 17, 18, 25, 26 and 27: what is a song, whatever it is called and wherever it lies."""

from __future__ import annotations

import os
import socket
import stat
import unicodedata
from pathlib import Path

import pytest
from stembridge_hot_folder.scan import Names

from plugin_core.errors import UsageError
from tests.hosts.hot_folder.conftest import Desk, wait_for
from tests.plugin_core.cli.fakes import write_song

PARTIAL = (
    *(".Song.wav", "._Song.wav", "~$Song.wav", "Song.wav~", ".~lock.Song.wav#", "Song.wav.part", "Song.wav.PARTIAL"),
    *("Song.wav.crdownload", "Song.wav.download", "Song.wav.opdownload", "Song.wav.filepart", "Song.tmp", "Song.temp"),
    *("Song.wav.!qB", "Song.wav.!ut", "Song.wav.aria2", "Song.wav.ytdl", ".Song.wav.icloud", ".Song.wav.Xa93Fd"),
    *(".syncthing.Song.wav.tmp", "~syncthing~Song.wav.tmp", "~syncthing~Song.wav", ".nfs000000000001", ".fuse_hidden1"),
    *(".smbdelete1", "Song.wav.reapeaks", "Song.wav.asd", "Song.pkf", ".DS_Store", "desktop.ini", "Thumbs.db"),
    *("Song.wav.swp", "Song.part.wav", "Song.tmp.wav", "cover.jpg", "notes.txt", "Song"),
)
FOLDERS = (
    *(".stfolder", ".stversions", ".localized", "@eaDir", "#recycle", ".Trash-1000", ".Trashes", ".Spotlight-V100"),
    *(".fseventsd", "__MACOSX", "lost+found", "System Volume Information", "$RECYCLE.BIN", ".AppleDouble"),
    *("_UNPACK_album", "_FAILED_album", "X.download", "Song.stems", "song.STEMS"),
)


@pytest.mark.parametrize("name", PARTIAL)
def test_case_09_partial_and_side_files_are_no_songs(name: str) -> None:
    assert Names().why_no_song(os.fsencode(name))


@pytest.mark.parametrize("name", ["Song.wav", "SONG.FLAC", "a b.Mp3", "part.wav", "track.tmp1.ogg", "Desktop.aiff"])
def test_case_09_songs_are_songs(name: str) -> None:
    assert not Names().why_no_song(os.fsencode(name))


def test_case_09_partial_files_are_never_touched(desk: Desk) -> None:
    for name in PARTIAL:
        (desk.root / name).write_bytes(b"RIFF half of something")
    desk.song()
    told = desk.once()
    assert told.of("done") == ["Song.wav"]
    assert told.of("failed") == []
    assert {path.name for path in desk.root.iterdir()} >= set(PARTIAL)


def test_case_09_settings_add_endings_and_patterns(desk: Desk) -> None:
    desk.set(suffixes="xyz", ignore="*demo*")
    for name in ("Song.xyz", "My Demo.wav"):
        desk.song(name + ".wav").rename(desk.root / name)
    assert desk.once().of("done") == ["Song.xyz"]


@pytest.mark.parametrize("name", FOLDERS)
def test_case_10_folders_of_systems_are_passed(desk: Desk, name: str) -> None:
    (desk.root / name / "deeper").mkdir(parents=True)
    write_song(desk.root / name / "deeper" / "Song.wav", 0.2)
    desk.song("Other.wav", seed=2)
    assert desk.once().of("done") == ["Other.wav"]


def test_case_17_nfc_and_nfd_names_coexist(desk: Desk) -> None:
    names = [unicodedata.normalize(form, "Söng é.wav") for form in ("NFC", "NFD")]
    for seed, name in enumerate(names):
        desk.song(name, seed=seed)
    if len(list(desk.root.glob("*.wav"))) < 2:
        pytest.skip("this file system knows only one form")
    assert sorted(desk.once().of("done")) == sorted(names)
    assert len([path for path in desk.root.iterdir() if path.is_dir()]) == 2


def test_case_17_names_that_are_not_utf8(desk: Desk) -> None:
    song = desk.song("x.wav")
    odd = os.path.join(os.fsencode(desk.root), b"S\xf6ng \x1b[31m\n.wav")
    try:
        song.rename(os.fsdecode(odd))
    except OSError:
        pytest.skip("this file system wants UTF-8")
    told = desk.once()
    assert told.of("done") == [Path(os.fsdecode(odd)).name]
    assert len(list(desk.root.glob("S*.stems/*"))) == 2


def test_case_18_case_collisions(desk: Desk) -> None:
    desk.song("Song.wav", seed=1)
    desk.song("song.WAV", seed=2)
    assert sorted(desk.once().of("done")) == ["Song.wav", "song.WAV"]
    folders = [path for path in desk.root.iterdir() if path.is_dir()]
    assert len(folders) == 2
    assert all(len(list(folder.iterdir())) == 2 for folder in folders)


@pytest.mark.parametrize(
    "name",
    ["a" * 251 + ".wav", "é" * 125 + ".wav", "CON.wav", "what?:*.wav", "trailing. .wav", " lead.wav"],
    ids=["255 bytes", "254 bytes of UTF-8", "reserved", "illegal on Windows", "dots and spaces", "leading space"],
)
def test_case_18_long_and_awkward_names(desk: Desk, name: str) -> None:
    desk.song(name)
    told = desk.once()
    assert told.of("done") == [name], told.told
    assert len(list(desk.root.glob("*.stems/*"))) == 2


def test_case_18_long_name_of_a_bad_file_has_its_error_file(desk: Desk) -> None:
    (desk.root / ("é" * 125 + ".wav")).write_text("just words, no audio")
    assert len(desk.once().of("failed")) == 1
    found = list(desk.root.glob("*.error.txt"))
    assert len(found) == 1
    assert len(os.fsencode(found[0].name)) <= 255


def test_case_25_links_are_passed_and_hard_links_are_fine(desk: Desk, tmp_path: Path) -> None:
    outside = write_song(tmp_path / "outside" / "Out.wav", 0.2, 1)
    (desk.root / "link.wav").symlink_to(outside)
    (desk.root / "dangling.wav").symlink_to("nowhere.wav")
    (desk.root / "folder").symlink_to(outside.parent)
    (desk.root / "loop").symlink_to(desk.root)
    (desk.root / "self.wav").symlink_to("self.wav")
    (desk.root / "hard.wav").hardlink_to(outside)
    told = desk.once()
    assert told.of("done") == ["hard.wav"]
    assert sorted(told.of("passed")) == ["dangling.wav", "link.wav", "self.wav"]


def test_case_26_pipes_sockets_and_devices_are_passed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.root)  # the path of a socket must be short
    special = ["pipe.wav", "sock.wav"]
    os.mkfifo(desk.root / "pipe.wav")
    if os.getuid() == 0:
        os.mknod(desk.root / "device.wav", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        special.append("device.wav")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock.wav")
        desk.song()
        told = desk.once()
    assert told.of("done") == ["Song.wav"]
    assert sorted(told.of("passed")) == sorted(special)


@pytest.mark.parametrize("template", ["{name} - {stem}.{ext}", "{name}.stems/{name} - {stem}.{ext}"])
def test_case_27_own_outputs_never_trigger(desk: Desk, template: str) -> None:
    desk.environ["STEMBRIDGE_STEMS_TEMPLATE"] = template
    desk.song()
    first = desk.once()
    assert first.of("done") == ["Song.wav"], first.told
    second = desk.once()
    assert desk.separator.paid == ["Song.wav"]
    assert second.of("taken") == []


def test_case_27_stems_renamed_by_the_user_are_known_by_their_tags(desk: Desk) -> None:
    desk.song()
    desk.once()
    (desk.root / "Song.stems" / "Song - Vocals.wav").rename(desk.root / "Vocals.wav")
    told = desk.once()
    assert told.reasons("Vocals.wav")[-1] == "skipped: made by stembridge"
    assert desk.separator.paid == ["Song.wav"]


def test_case_27_nested_and_shared_folders_are_refused(desk: Desk, tmp_path: Path) -> None:
    inner = desk.root / "inner"
    inner.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    link = tmp_path / "link"
    link.symlink_to(inner)
    for roots in ((desk.root, inner), (inner, desk.root), (desk.root, link)):
        with pytest.raises(UsageError, match="lies in"):
            desk.once(*roots)
    with pytest.raises(UsageError, match="named twice"):
        desk.once(desk.root, desk.root)
    desk.set(done=tmp_path / "finished")
    with pytest.raises(UsageError, match="share"):
        desk.once(desk.root, other)
    desk.set(done=other / "finished")
    with pytest.raises(UsageError, match="would move into"):
        desk.once(desk.root, other)


def test_case_27_stems_placed_inside_the_folder_are_refused(desk: Desk) -> None:
    (desk.root / "out").mkdir()
    place = desk.root / "out"
    (desk.home / "config.toml").write_text(
        f'[presets.bad]\noperations = [{{ kind = "separation", to = "{place}" }}]\n', encoding="utf-8"
    )
    with pytest.raises(UsageError, match="inside the hot folder"):
        desk.once()


def test_case_27_own_home_inside_the_folder_is_refused(desk: Desk) -> None:
    with pytest.raises(UsageError, match="own data"):
        desk.once(desk.home.parent)


@pytest.mark.parametrize(
    ("project", "song"),
    [("Take.RPP", "Media/Guitar.wav"), ("Beat.als", "Beat.wav"), ("Band.logicx/x", "Band.logicx/Audio/Keys.wav")],
)
def test_sessions_of_daws_are_left_whole_unless_asked_for(desk: Desk, project: str, song: str) -> None:
    session = desk.root / "Session"
    (session / project).parent.mkdir(parents=True)
    (session / project).touch()
    desk.song(f"Session/{song}", seed=1)
    desk.song("Audio Files/Recorded.wav", seed=2)
    # A project beside the songs that are dropped keeps none of them from being taken.
    (desk.root / project).parent.mkdir(exist_ok=True)
    (desk.root / project).touch()
    desk.song("Song.wav", seed=3)
    with desk.running() as watch:
        watch.wait_done("Song.wav")
        copy = desk.song(f"Session/{Path(song).parent}/Later.wav", seed=4)
        desk.song("Other.wav", seed=5)
        watch.wait_done("Other.wav")
    passed = [one.text for one in watch.listener.told if one.word == "passed"]
    assert passed
    assert all("session" in text for text in passed)
    assert sorted(desk.separator.paid) == ["Other.wav", "Song.wav"]
    copy.unlink()
    desk.set(sessions="true")
    assert sorted(desk.once().of("done")) == sorted([Path(song).name, "Recorded.wav"])


def test_session_that_shows_itself_late_takes_its_waiting_songs_along(desk: Desk) -> None:
    desk.set(settle_seconds=0.5)
    with desk.running() as watch:
        desk.song("Session/Guitar.wav", seed=1)
        watch.wait("settling", "Guitar.wav")
        (desk.root / "Session" / "Take.rpp").touch()
        desk.song("Song.wav", seed=2)
        watch.wait_done("Song.wav")
        wait_for(lambda: not len(watch.watch._intakes[0].settler))
    assert watch.listener.reasons("Guitar.wav")[-1].startswith("passed: the session of a DAW")
    assert desk.separator.paid == ["Song.wav"]


def test_session_that_shows_itself_late_takes_its_queued_songs_along(desk: Desk) -> None:
    desk.set(at_once=1)
    desk.separator.hold = True
    with desk.running() as watch:
        desk.song("Song.wav", seed=1)
        wait_for(lambda: desk.separator.paid)
        desk.song("Session/Guitar.wav", seed=2)
        watch.wait("queued", "Guitar.wav")
        (desk.root / "Session" / "Take.rpp").touch()
        watch.wait("passed", "Session")
        desk.separator.hold = False
        desk.song("Other.wav", seed=3)
        watch.wait_done("Song.wav", "Other.wav")
    assert desk.separator.paid == ["Song.wav", "Other.wav"]
