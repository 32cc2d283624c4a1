"""APEv2: what stands beside the labels, and behind the tag, stays to the byte."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from plugin_core.errors import SourceError
from plugin_core.tags.reader import read_fields
from plugin_core.tags.tagger import Writing, restore_exactly
from tests.plugin_core.tags.crafted import make_musepack_7
from tests.plugin_core.tags.test_tagger import label

ID3V1 = b"TAG" + bytes(124) + b"\x11"
LYRICS = b"LYRICSBEGININD0000200LYR00005hello"
LYRICS3 = LYRICS + b"%06dLYRICS200" % len(LYRICS)
READ_ONLY = 1


def item(key: str, value: bytes, flags: int = 0) -> bytes:
    return struct.pack("<II", len(value), flags) + key.encode() + b"\0" + value


def tag(*items: bytes, flags: int = 0, count: int | None = None) -> bytes:
    body = b"".join(items)
    words = struct.pack("<III", 2000, len(body) + 32, len(items) if count is None else count)
    header, footer = (b"APETAGEX" + words + struct.pack("<I", flags | word) + bytes(8) for word in (5 << 29, 1 << 31))
    return header + body + footer


FOREIGN = (
    item("Title", "Sông".encode(), READ_ONLY),
    item("zz", b"a"),
    item("Cover Art (Front)", b"cover.jpg\0" + bytes(range(256)), 2),
    item("Related", b"http://example.org", 4),
)


@pytest.mark.parametrize("behind", [b"", ID3V1, LYRICS3 + ID3V1], ids=["end", "id3v1", "lyrics3"])
@pytest.mark.parametrize("there", [True, False], ids=["tagged", "bare"])
def test_other_items_and_what_stands_behind_stay(tmp_path: Path, behind: bytes, there: bool) -> None:
    path, audio = tmp_path / "song.mpc", make_musepack_7()
    before = audio + (tag(*FOREIGN, flags=READ_ONLY) if there else b"") + behind
    path.write_bytes(before)
    written = label(path)
    data = path.read_bytes()
    assert data.startswith(audio) and data.endswith(b"APETAGEX" + data[len(data) - len(behind) - 24 :])
    new = data[len(audio) : len(data) - len(behind)]
    ours = (item("Genre", b"Rock"), item("Mood", b"Calm"))
    assert all(one in new for one in (*(FOREIGN if there else ()), *ours))
    assert len(new) == len(tag(*(FOREIGN if there else ()), *ours))
    assert new[20] == new[-12] == (READ_ONLY if there else 0)
    assert read_fields(path)["mood"] == ("Calm",)
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


def test_order_stays_and_what_is_new_stands_before_what_is_larger(tmp_path: Path) -> None:
    path, audio = tmp_path / "song.mpc", make_musepack_7()
    path.write_bytes(audio + tag(FOREIGN[0], item("GENRE", b"Jazz", READ_ONLY), *FOREIGN[1:]))
    label(path)
    genre = item("GENRE", b"Rock", READ_ONLY)
    assert path.read_bytes() == audio + tag(item("Mood", b"Calm"), FOREIGN[0], genre, *FOREIGN[1:])


def test_wrong_count_of_items_costs_none(tmp_path: Path) -> None:
    path, audio = tmp_path / "song.mpc", make_musepack_7()
    path.write_bytes(audio + tag(*FOREIGN, count=9))
    label(path)
    assert all(one in path.read_bytes() for one in FOREIGN)


def test_item_that_ends_behind_its_tag_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "song.mpc"
    path.write_bytes(make_musepack_7() + tag(item("Title", b"Song")[:-1]))
    before = path.read_bytes()
    with pytest.raises(SourceError):
        label(path)
    assert path.read_bytes() == before
