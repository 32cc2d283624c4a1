"""What C libraries print stays off the screen, what Python prints does not."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from plugin_core.audio import frames
from plugin_core.audio.samples import Samples
from plugin_core.audio.sndfile import hushed, open_sndfile, read_block
from tests.plugin_core.audio.library import Library, refuse
from tests.plugin_core.audio.test_probe import needs_ffmpeg


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of the GNU C library")
def test_c_library_is_hushed_and_python_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    library = ctypes.CDLL(None)
    with hushed(), hushed():
        library.perror(b"hushed")
        os.write(2, b"Python\n")
    library.perror(b"loud")

    said = capfd.readouterr().err
    assert said.startswith("Python\nloud")
    assert "hushed" not in said


@needs_ffmpeg
@pytest.mark.parametrize("name", ["s.mp3", "bare.mp3", "s.mp2", "mp3.wav"])
def test_torn_mpeg_says_in_one_line_where(
    library: Library, tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(library.file(name).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 5000] = bytes(5000)
    capfd.readouterr()

    said = refuse(library.copy(name, tmp_path, data))

    assert "is damaged at 0:" in said
    assert 3 < float(said.split("0:")[1].split(";")[0]) < 7
    assert capfd.readouterr() == ("", "")


@needs_ffmpeg
def test_folder_of_a_mac_in_which_somebody_stands_is_no_part_of_a_bare_mpeg(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> Samples:
        with bare.open("rb") as file, open_sndfile(bare, file.fileno()) as opened:
            return read_block(opened, 2**20, "float32", 0)

    bare = library.file("bare.mp3")
    away = read()
    (tmp_path / ".AppleDouble").mkdir()
    monkeypatch.chdir(tmp_path)
    # How many there are of what has no header is guessed by its bytes.
    np.testing.assert_array_equal(read()[: len(away)], away)


@needs_ffmpeg
def test_frame_that_lost_its_header_is_not_passed_over(library: Library, tmp_path: Path) -> None:
    data = bytearray(library.file("s.mp3").read_bytes())
    places, at = [], data.index(b"\xff\xfb")
    while (frame := frames.read_frame(bytes(data[at : at + 4]))) is not None:
        places.append(at)
        at += frame.size
    data[places[250] : places[250] + 4] = bytes(4)

    assert "is damaged at 0:06.5" in refuse(library.copy("s.mp3", tmp_path, data))
