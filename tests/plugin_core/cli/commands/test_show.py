"""``stembridge show``: what is measured, and a picture that holds it."""

from __future__ import annotations

import base64
import io
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_core.cli.commands.show import cells_of, inline
from plugin_core.cli.picture import COLUMNS, describe_error, draw, measure
from plugin_core.errors import install_hint
from plugin_core.model import Label
from plugin_core.operations.stem_tags import tag_stem
from tests.plugin_core.cli.conftest import Run

Image = pytest.importorskip("PIL.Image")
RATE = 8000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a song of a low tone, then a high one as well, and its parts, which add up to the bit."""
    time = np.arange(2 * RATE) / RATE
    low = np.round(8192 * np.sin(2 * np.pi * 100 * time)).astype(np.int16)
    high = np.where(time < 1, 0, np.round(4096 * np.sin(2 * np.pi * 2000 * time))).astype(np.int16)
    stems = tmp_path / "Song.stems"
    stems.mkdir()
    for path, samples in ((tmp_path / "Song.wav", low + high), (stems / "Song - Bass.wav", low)):
        soundfile.write(path, samples, RATE)
    soundfile.write(stems / "Song - Other.wav", high, RATE)
    return tmp_path


def parts(folder: Path) -> dict[str, Path]:
    return {name: folder / "Song.stems" / f"Song - {name.title()}.wav" for name in ("bass", "other")}


def test_levels_spectra_and_the_sum_are_measured(folder: Path) -> None:
    measured = measure(folder / "Song.wav", parts(folder))
    source, bass, other = measured.tracks
    assert bass.peak == pytest.approx(0.25, abs=1e-3)
    assert bass.rms == pytest.approx(0.25 / math.sqrt(2), rel=1e-2)
    assert describe_error(measured) == "none, sample for sample"
    early, late = COLUMNS // 4, COLUMNS * 3 // 4
    assert int(bass.bands[:, late].argmax()) < int(other.bands[:, late].argmax())
    assert other.bands[:, early].max() == -90.0
    assert other.bands[:, late].max() == pytest.approx(20 * math.log10(0.125), abs=6)
    assert source.high[late] > source.high[early] > 0.2


def test_what_the_sum_lacks_is_seen(folder: Path) -> None:
    samples, rate = soundfile.read(parts(folder)["other"])
    samples[RATE + 5] += 0.1
    soundfile.write(parts(folder)["other"], samples, rate)
    measured = measure(folder / "Song.wav", parts(folder))
    assert measured.error is not None
    assert int(measured.error.argmax()) == pytest.approx(COLUMNS // 2, abs=2)
    assert describe_error(measured) == "at most -20.0 dBFS"
    soundfile.write(parts(folder)["other"], samples[:RATE], rate * 2)
    told = "not told: a stem has 16000 Hz, the song 8000 Hz"
    assert describe_error(measure(folder / "Song.wav", parts(folder))) == told
    with_minus = {"no-bass": parts(folder)["bass"], "bass": parts(folder)["bass"]}
    assert describe_error(measure(folder / "Song.wav", with_minus)) == "not told: one stem is no whole song"
    soundfile.write(parts(folder)["other"], np.zeros((RATE, 2)), RATE)
    told = "not told: a stem has 2 channels, the song 1"
    assert describe_error(measure(folder / "Song.wav", parts(folder))) == told


def test_the_picture_holds_each_row_in_its_colour(folder: Path) -> None:
    measured = measure(folder / "Song.wav", parts(folder))
    labels = [Label(dimension="mood", value="calm", probability=0.5)]
    picture = draw(measured, "Song.wav", labels)
    pixels = np.asarray(picture)
    for number, track in enumerate(measured.tracks):
        row = pixels[44 + number * 110 : 44 + number * 110 + 96, 202 : 202 + COLUMNS]
        drawn = (row == track.colour).all(axis=2).any(axis=0)
        assert drawn.all()
        height = (row == track.colour).all(axis=2).sum(axis=0).max()
        assert height == pytest.approx(96 * (track.high - track.low).max() / 2, abs=3)
    assert (pixels[-54:] == (100, 200, 255)).all(axis=2).any()


def test_a_song_is_shown_into_a_file_that_is_new(stembridge: Run, folder: Path) -> None:
    result = stembridge("show", "Song.wav", "--png", "Song.png")
    assert (result.code, result.err) == (0, "")
    assert ["bass", "-12.0", "-15.1"] in [line.split() for line in result.out.splitlines()]
    assert result.out.endswith("sum error: none, sample for sample\nwrote Song.png\n")
    with Image.open(folder / "Song.png") as picture:
        assert (picture.format, picture.size[0]) == ("PNG", 1426)
    assert "is there already" in stembridge("show", "Song.wav", "--png", "Song.png").err
    assert "--png FILE writes one" in stembridge("show", "Song.wav").err
    # One that was mixed of them beside them is none of them.
    mix = folder / "Song.stems" / "Song - Mix.flac"
    soundfile.write(mix, np.zeros(RATE), RATE)
    tag_stem(folder / "Song.wav", mix, stem_title="Mix", provenance={"stembridge": "1", "job": "2"})
    told = stembridge("show", "Song.wav", "--json")
    assert [one["name"] for one in told.of("level")] == ["source", "bass", "other"]
    assert told.of("picture")[0]["sum_error"] == 0.0
    assert "has no stems here" in stembridge("show", "Song.stems/Song - Bass.wav").err
    assert "is no file" in stembridge("show", "None.wav").err


def test_the_stems_that_a_job_placed_are_shown(stembridge: Run, song: Path) -> None:
    assert stembridge("separate", song, "-o", "out").code == 0
    result = stembridge("show", song)
    assert (result.code, "vocals" in result.out, "instrumental" in result.out) == (0, True, True)
    assert "sum error: at most -90.3 dBFS" in result.out, "both halves of an odd number are rounded"


def test_without_pillow_it_is_said_for_this_python(stembridge: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    result = stembridge("show", "Song.wav")
    assert (result.code, install_hint("show") in result.err) == (2, True)


def test_which_terminals_show_pictures_and_how_wide() -> None:
    assert inline(b"x", {"TERM": "xterm-256color"}, 80) == ""
    # Inside of tmux and screen the variables of the terminal around them are left.
    for inside in ("TMUX", "STY"):
        assert inline(b"x", {"KITTY_WINDOW_ID": "1", inside: "1"}, 80) == ""
    assert [cells_of(1426, 80, pixels) for pixels in (0, 640, 4000)] == [80, 80, 29]


@pytest.mark.parametrize("terminal", [{"TERM_PROGRAM": "iTerm.app"}, {"KITTY_WINDOW_ID": "1"}], ids=["iTerm", "kitty"])
def test_what_a_terminal_is_sent_is_the_picture(
    stembridge: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, terminal: dict[str, str]
) -> None:
    monkeypatch.setattr(sys.stdout.__class__, "isatty", lambda _self: True)
    for name in ("TMUX", "STY", "TERM", "TERM_PROGRAM", "KITTY_WINDOW_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in terminal.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "80")
    assert stembridge("show", "Song.wav", "--png", "Song.png").code == 0
    result = stembridge("show", "Song.wav")
    assert (result.code, result.err) == (0, "")
    shown, told = read_pictures(result.out)
    assert [Image.open(io.BytesIO(each)).tobytes() for each in shown] == [Image.open(folder / "Song.png").tobytes()]
    assert told.startswith("\nTRACK")


def read_pictures(out: str) -> tuple[list[bytes], str]:
    """Do what a terminal does: return the pictures it is sent by either protocol, and the text that is left."""
    pictures = list[bytes]()
    for size, width, text in re.findall(
        r"\x1b\]1337;File=inline=1;size=(\d+);width=(\d+);preserveAspectRatio=1:([^\x07]*)\x07", out
    ):
        pictures.append(base64.b64decode(text, validate=True))
        assert (int(size), int(width)) == (len(pictures[-1]), 80)
    text = ""
    for head, part in re.findall(r"\x1b_G([^;\x1b]*);([^\x1b]*)\x1b\\", out):
        keys = dict(one.split("=") for one in head.split(","))
        assert keys.keys() == ({"m"} if text else {"a", "f", "q", "c", "m"})
        assert len(part) <= 4096 and (keys["m"] == "0" or len(part) % 4 == 0)
        if not text:
            assert (keys["a"], keys["f"], keys["c"]) == ("T", "100", "80")
        text += part
        if keys["m"] == "0":
            pictures.append(base64.b64decode(text, validate=True))
            text = ""
    assert text == ""
    return pictures, re.sub(r"\x1b(\]1337;[^\x07]*\x07|_G[^\x1b]*\x1b\\)", "", out)
