"""The note beside a failed song: never over a file of the user's, gone when out of date, its commands work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from stembridge_hot_folder.record import is_ours, quote, remove_error, write_error

NAMES = [
    b"plain.wav",
    b'it\'s "quoted" $HOME `id` \\ back;rm -rf.wav',
    b"-n --failed.wav",
    b"new\nline\ttab.wav",
    b"latin \xe9\xff.wav",
    "Ünïcödé ♫.wav".encode(),
]


@pytest.mark.skipif(os.name == "nt", reason="another shell")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_command_names_the_very_file_in_a_shell(tmp_path: Path, name: bytes) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    done = subprocess.run(["bash", "-c", f"printf %s {quote(path)}"], capture_output=True, check=True)
    assert done.stdout == path


def test_command_for_windows_is_in_double_quotes() -> None:
    assert quote(rb"C:\My Songs\it's.wav", platform="win32") == r'"C:\My Songs\it' + "'" + r's.wav"'


def note(song: Path) -> Path:
    return song.with_name(f"{song.name}.error.txt")


def test_note_says_what_and_what_to_do_on_one_line_each(tmp_path: Path) -> None:
    song = tmp_path / "Song.wav"
    assert write_error(os.fsencode(song), "it\nbroke \x1b[31m", "buy\nanother") == os.fsencode(note(song))
    lines = note(song).read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("What")] == [
        r"What happened: it\nbroke \x1b[31m",
        r"What to do:    buy\nanother",
    ]
    assert is_ours(os.fsencode(note(song)), os.fsencode(song))


@pytest.mark.parametrize("remedy", ["", "do something"])
def test_note_is_renewed_and_removed(tmp_path: Path, remedy: str) -> None:
    song = os.fsencode(tmp_path / "Song.wav")
    write_error(song, "first", remedy)
    write_error(song, "second", remedy)
    assert [path.name for path in tmp_path.iterdir()] == ["Song.wav.error.txt"]
    assert "second" in note(tmp_path / "Song.wav").read_text()
    remove_error(song)
    assert not list(tmp_path.iterdir())


def test_note_that_somebody_changed_is_theirs(tmp_path: Path) -> None:
    song = tmp_path / "Song.wav"
    write_error(os.fsencode(song), "first", "")
    with note(song).open("a") as opened:
        opened.write("asked Anna, she sends another mix\n")
    write_error(os.fsencode(song), "second", "")
    assert "Anna" in note(song).read_text()
    assert "second" in (tmp_path / "Song.wav.error (2).txt").read_text()
    remove_error(os.fsencode(song))
    assert [path.name for path in tmp_path.iterdir()] == ["Song.wav.error.txt"]


def test_second_note_is_removed_though_the_first_is_gone(tmp_path: Path) -> None:
    song = tmp_path / "Song.wav"
    note(song).write_text("mine")
    write_error(os.fsencode(song), "why", "")
    note(song).unlink()
    remove_error(os.fsencode(song))
    assert not list(tmp_path.iterdir())


def test_long_names_are_cut_and_unwritable_folders_are_no_error(tmp_path: Path) -> None:
    song = os.fsencode(tmp_path / ("ü" * 125 + ".wav"))
    written = write_error(song, "why", "")
    assert written is not None
    assert len(os.path.basename(written)) <= 255  # noqa: PTH119 - bytes
    assert write_error(os.fsencode(tmp_path / "missing" / "Song.wav"), "why", "") is None
