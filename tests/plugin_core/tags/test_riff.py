from __future__ import annotations

import io
import struct

import pytest

from plugin_core.tags.riff import read_info


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def wav(*chunks: bytes) -> io.BytesIO:
    body = b"WAVE" + b"".join(chunks)
    return io.BytesIO(b"RIFF" + struct.pack("<I", len(body)) + body)


def test_texts_are_found_behind_odd_chunks() -> None:
    info = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"Song\0") + chunk(b"IART", "Zoë".encode()))
    assert read_info(wav(chunk(b"data", b"abc"), info)) == {"INAM": ["Song"], "IART": ["Zoë"]}


def test_a_windows_code_page_is_understood() -> None:
    assert read_info(wav(chunk(b"LIST", b"INFO" + chunk(b"IART", b"Zo\xeb")))) == {"IART": ["Zoë"]}


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(io.BytesIO(), id="empty"),
        pytest.param(io.BytesIO(b"FORM\0\0\0\0AIFF"), id="not-wav"),
        pytest.param(wav(chunk(b"LIST", b"adtl" + chunk(b"labl", b"x"))), id="other-list"),
        pytest.param(wav(b"LIST\xff\xff\xff\xffINFOINAM"), id="ends-early"),
        pytest.param(wav(b"\0" * 100_000), id="endless-empty-chunks"),
    ],
)
def test_what_has_no_info_gives_nothing(file: io.BytesIO) -> None:
    assert read_info(file) == {}


def test_a_text_longer_than_its_list_is_cut() -> None:
    assert read_info(wav(chunk(b"LIST", b"INFOINAM\xff\xff\xff\xffSong"))) == {"INAM": ["Song"]}
