"""FLAC: blocks that mutagen would write anew stay to the byte, wherever the padding is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from plugin_core.errors import SourceError
from plugin_core.tags.flac import PADDING as FLAC_PADDING
from plugin_core.tags.tagger import Writing, restore_exactly
from plugin_core.tags.vorbis import RawComments, parse_comments
from tests.plugin_core.tags.tagged_files import audio_digest, make_audio
from tests.plugin_core.tags.test_tagger import label

Blocks = list[tuple[int, bytes]]
COMMENTS = RawComments(
    b"vend\xffor",
    (b"TITLE=one", b"title=two", b"Artist=\xff\xfe bad", b"no key", b"=no name", b"K\xc3\xa9y=v", b"empty="),
)
FOREIGN: Blocks = [(2, b"ABCDdata"), (100, b"unknown"), (6, b"\0\0\0\3\0\0\0\2\xff\xfe" + bytes(24)), (5, bytes(500))]
LARGEST = (2, random.Random(1).randbytes((1 << 24) - 1))


def take_apart(data: bytes) -> tuple[Blocks, bytes]:
    place, last, blocks = 4, False, []
    while not last:
        last, size = bool(data[place] & 0x80), int.from_bytes(data[place + 1 : place + 4], "big")
        blocks.append((data[place] & 0x7F, data[place + 4 : place + 4 + size]))
        place += 4 + size
    return blocks, data[place:]


def put_together(blocks: Blocks, frames: bytes) -> bytes:
    heads = [bytes((kind | 0x80 * (number == len(blocks)),)) for number, (kind, _) in enumerate(blocks, 1)]
    parts = (head + len(body).to_bytes(3, "big") + body for head, (_, body) in zip(heads, blocks, strict=True))
    return b"fLaC" + b"".join(parts) + frames


@pytest.fixture
def plain(tmp_path: Path) -> tuple[tuple[int, bytes], bytes]:
    """Return stream info and frames of a song."""
    blocks, frames = take_apart(make_audio(tmp_path / "plain.flac").read_bytes())
    return blocks[0], frames


def padding(size: int) -> tuple[int, bytes]:
    return 1, bytes(size)


TEXTS = (4, COMMENTS.render())
LAYOUTS: dict[str, tuple[Blocks, Blocks]] = {
    "padding-behind": ([TEXTS, *FOREIGN, padding(300)], [TEXTS, *FOREIGN, padding(287)]),
    "padding-before": ([padding(300), *FOREIGN, TEXTS], [padding(287), *FOREIGN, TEXTS]),
    "several": ([padding(300), TEXTS, padding(5)], [padding(287), TEXTS, padding(5)]),
    "just-enough": ([TEXTS, padding(13), (2, b"ABCD")], [TEXTS, padding(0), (2, b"ABCD")]),
    "too-little": ([TEXTS, padding(12), (2, b"ABCD")], [TEXTS, padding(FLAC_PADDING), (2, b"ABCD")]),
    "none": ([TEXTS, *FOREIGN], [TEXTS, *FOREIGN, padding(FLAC_PADDING)]),
    "largest": ([TEXTS, LARGEST, padding(0)], [TEXTS, LARGEST, padding(FLAC_PADDING)]),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("before", [b"", b"ID3\3\0\0\0\0\0\5\0\0\0\0\0"], ids=["plain", "id3-in-front"])
def test_only_comments_and_padding_change(
    tmp_path: Path, plain: tuple[tuple[int, bytes], bytes], name: str, before: bytes
) -> None:
    path, (info, frames) = tmp_path / "song.flac", plain
    old, new = LAYOUTS[name]
    path.write_bytes(before + put_together([info, *old], frames))
    whole = path.read_bytes()
    written = label(path, dimensions=("mood",))
    labelled = (4, COMMENTS.with_values({"MOOD": ("Calm",)}).render())
    expected = [labelled if block is TEXTS else block for block in new]
    found = path.read_bytes()
    assert found.startswith(before)
    blocks, rest = take_apart(found[len(before) :])
    assert [kind for kind, _ in blocks] == [0, *(kind for kind, _ in expected)]
    assert rest == frames and blocks[1:] == expected
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == whole


def test_comments_come_into_a_file_without_any(tmp_path: Path, plain: tuple[tuple[int, bytes], bytes]) -> None:
    path, (info, frames) = tmp_path / "song.flac", plain
    path.write_bytes(put_together([info], frames))
    digest = audio_digest(path)
    label(path)
    blocks, rest = take_apart(path.read_bytes())
    assert [kind for kind, _ in blocks] == [0, 4, 1]
    assert parse_comments(blocks[1][1]).entries == (b"MOOD=Calm", b"GENRE=Rock")
    assert (rest, audio_digest(path)) == (frames, digest)


@pytest.mark.parametrize("damage", ["size", "behind-the-file", "comments"])
def test_damaged_blocks_are_refused(tmp_path: Path, plain: tuple[tuple[int, bytes], bytes], damage: str) -> None:
    path, (info, frames) = tmp_path / "song.flac", plain
    data = bytearray(put_together([info, TEXTS, (2, b"ABCDdata")], frames))
    place = data.index(b"ABCDdata")
    if damage == "size":
        data[place - 1] -= 1
    elif damage == "behind-the-file":
        data[place - 3] = 0xFF
    else:
        data[data.index(b"vend") - 4] = 0xFF
    path.write_bytes(data)
    with pytest.raises(SourceError):
        label(path)
    assert path.read_bytes() == data
