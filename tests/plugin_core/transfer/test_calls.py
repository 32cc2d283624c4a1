"""What is sent and what comes back, apart from the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plugin_core.errors import SourceError
from plugin_core.transfer import Answer, FilePart, Multipart
from plugin_core.transfer.calls import parse_json
from plugin_core.transfer.files import FileReader


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'"\\ud800 half"', "? half"),
        (b'"\xed\xa0\x80 half"', "? half"),
        ('"\\uD800"', "?"),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ('"D\u00e9j\u00e0"'.encode(), "D\u00e9j\u00e0"),
    ],
    ids=["named", "as bytes", "as text", "both halves", "plain"],
)
def test_half_of_a_character_is_nothing_that_a_file_could_not_take(content: bytes | str, said: str) -> None:
    found = parse_json(content)
    found.encode()
    assert found == said


@pytest.mark.parametrize(("status", "is_success"), [(199, False), (200, True), (299, True), (300, False), (404, False)])
def test_only_2xx_is_success(status: int, is_success: bool) -> None:
    assert Answer(status, {}, b"{}").is_success is is_success


@pytest.mark.parametrize("content", [b"<html>", b"", b"[" * 100_000], ids=["page", "nothing", "too deep"])
def test_what_is_no_json_has_no_data(content: bytes) -> None:
    answer = Answer(200, {}, content)
    assert (answer.is_json, answer.data) == (False, None)


def test_a_file_has_the_name_that_is_given_or_its_own(tmp_path: Path) -> None:
    path = tmp_path / "Song.flac"
    assert FilePart("file", path).shown_name == "Song.flac"
    assert FilePart("file", path, name="key.flac").shown_name == "key.flac"


def test_files_that_were_opened_are_closed_where_another_one_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song, empty = tmp_path / "Song.flac", tmp_path / "Empty.flac"
    song.write_bytes(b"sound")
    empty.touch()
    closed: list[int] = []
    close = FileReader.close

    async def note(reader: FileReader) -> None:
        closed.append(reader.size)
        await close(reader)

    monkeypatch.setattr(FileReader, "close", note)
    with pytest.raises(SourceError, match=r"Empty\.flac is empty"):
        asyncio.run(Multipart({}, [FilePart("one", song), FilePart("two", empty)]).open())
    assert closed == [5, 0]
