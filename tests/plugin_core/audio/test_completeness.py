from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.audio.completeness import find_lost_share, has_mpeg_length, is_ogg_cut
from plugin_core.audio.source_file import open_file

PAGE = b"OggS\0\0" + bytes(20) + bytes([2, 255, 45]) + bytes(300)


@pytest.mark.parametrize(
    ("log", "lost"),
    [
        ("data : 529200 (should be 264600)", 0.5),
        (" SSND : 529208 (should be 132302)", 0.75),
        ("  Data Size   : 400000 (should be 100000)", 0.75),
        ("riff : 529304 (should be 264652)", 0.5),
        ("*** Calculated frame count 75000 does not match value from 'ds64' chunk of 100000.", 0.25),
        ("data : 4294967295 (should be 317488)", 0.0),
        ("data : 2147483647 (should be 317488)", 0.0),
        ("riff : -1 (should be 317582)", 0.0),
        ("data : 1000 (should be 999)", 0.0),
        ("data : 0 (should be 317582)", 0.0),
        ("RIFF : 529236 (should be 317538)", 0.0),
        ("data : 529200", 0.0),
        ("", 0.0),
    ],
)
def test_lost_share_is_found_in_the_log(log: str, lost: float) -> None:
    assert find_lost_share(f"Length : 1\n{log}\nfmt  : 16\n") == pytest.approx(lost, abs=0.001)


@pytest.mark.parametrize(
    ("data", "is_cut"),
    [
        (PAGE * 3, False),
        (PAGE * 300, False),
        (PAGE * 3 + PAGE[:-1], True),
        (PAGE * 3 + PAGE[:28], True),
        (PAGE * 3 + PAGE[:10], True),
        (b"no page at all", False),
    ],
    ids=["whole", "long", "byte", "table", "header", "foreign"],
)
def test_ogg_that_ends_inside_a_page(tmp_path: Path, data: bytes, is_cut: bool) -> None:
    (tmp_path / "a.ogg").write_bytes(data)

    with open_file(tmp_path / "a.ogg") as descriptor:
        assert is_ogg_cut(tmp_path / "a.ogg", descriptor) is is_cut


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\x02\x01" + bytes(257)], ids=["bare", "id3"])
@pytest.mark.parametrize(("mark", "says"), [(b"Xing", True), (b"Info", True), (b"VBRI", True), (b"LAME", False)])
def test_mp3_that_says_how_long_it_is(tmp_path: Path, tag: bytes, mark: bytes, says: bool) -> None:
    (tmp_path / "a.mp3").write_bytes(tag + b"\xff\xfb\x90\0" + bytes(32) + mark + bytes(9000))

    with open_file(tmp_path / "a.mp3") as descriptor:
        assert has_mpeg_length(tmp_path / "a.mp3", descriptor) is says
