"""Session files are what their formats' documents say, and play what the song is, sample by sample."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest
import reaper_parser
import rpp
import soundfile

from plugin_core.audio.probe import identify
from plugin_core.errors import PlacementError
from plugin_core.model import Source, Stem
from plugin_core.sessions.arrangement import Arrangement, SessionFormat, arrange
from plugin_core.sessions.dawproject import DawProject
from plugin_core.sessions.rpp import ReaperProject, quote
from tests.audio_files import write_samples
from tests.plugin_core.sessions.readers import READERS, Score, play, read_dawproject, read_rpp
from tests.plugin_core.stems.builders import make_exact_song, make_stem

FORMATS: tuple[SessionFormat, ...] = (ReaperProject(), DawProject())
SCHEMA = os.environ.get("STEMBRIDGE_TEST_DAWPROJECT_SCHEMA", "")
NAMES = ("Song", "It's", 'Say "Hi"', "`Tick` 'n' tack", "Ü 🎸 日本", "  two  spaces ", "<a & b>", "|pipe", "x" * 120)


def place_stems(source: Source, parts: list[tuple[str, Path]], gain: float = 1.0) -> list[Stem]:
    """Put the parts beside the song as the template does."""
    folder = source.path.parent / "Song.stems"
    folder.mkdir(exist_ok=True)
    stems = []
    for name, part in parts:
        place = folder / f"Song - {name.title()}.flac"
        part.rename(place)
        if gain != 1.0:
            samples, rate = soundfile.read(place, dtype="int16", always_2d=True)
            write_samples(place, np.rint(samples * gain).astype(np.int16), rate)
        stems.append(msgspec.structs.replace(make_stem(place), name=name, gain=gain))
    return stems


def write_session(form: SessionFormat, source: Source, stems: list[Stem], **tags: str) -> Path:
    place = stems[0].path.parent / f"Song.{form.name}"
    heard = [(stem, identify(stem.path)) for stem in stems]
    arrangement = arrange(source, heard, place, {name: (value,) for name, value in tags.items()})
    place.write_bytes(form.render(arrangement))
    return place


def make(folder: Path, rate: int = 44100, channels: int = 2, name: str = "Song.flac") -> tuple[Source, list[Stem]]:
    source, parts = make_exact_song(folder, 0.25, rate, channels, name)
    return source, place_stems(source, [(part.stem, part.path) for part in reversed(parts)])


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6], ids=["mono", "stereo", "5.1"])
def test_a_session_nulls_against_its_song(tmp_path: Path, rate: int, channels: int) -> None:
    source, stems = make(tmp_path, rate, channels)
    song, _ = soundfile.read(source.path, always_2d=True)
    for form in FORMATS:
        place = write_session(form, source, stems)
        score = READERS[form.name](place)
        assert (score.sample_rate, score.tempo) == (rate, 120)
        assert [one.track for one in score.played] == [
            "Song",
            *(f"Song - {s}" for s in ["Vocals", "Drums", "Bass", "Other"]),
        ]
        assert score.folder == {"Song - Stems": [one.track for one in score.played[1:]]}
        assert [one.is_muted for one in score.played] == [True, False, False, False, False]
        assert len({one.colour for one in score.played}) == 5
        assert score.played[1].colour == (255, 100, 100)
        heard = play(score, place.parent)
        assert np.array_equal(heard, np.repeat(song, heard.shape[1] // channels, 1))
        assert np.array_equal(play(score, place.parent, only_muted=True), heard)


def test_what_was_made_quieter_has_the_level_of_the_song(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path, 0.25)
    stems = place_stems(source, [(part.stem, part.path) for part in parts], gain=0.5)
    song, _ = soundfile.read(source.path, always_2d=True)
    for form in FORMATS:
        place = write_session(form, source, stems)
        score = READERS[form.name](place)
        assert [one.gain for one in score.played] == [1, 2, 2, 2, 2]
        assert np.abs(play(score, place.parent) - song).max() <= 2**-13


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_found_again(tmp_path: Path, name: str) -> None:
    source, stems = make(tmp_path, name=f"{name}.flac")
    for form in FORMATS:
        place = write_session(form, source, stems)
        score = READERS[form.name](place)
        assert play(score, place.parent, only_muted=True).shape[0] == source.frames
        assert Path(os.path.normpath(place.parent / score.played[0].file)) == source.path


def test_what_a_format_cannot_write_is_refused_and_the_other_writes_it(tmp_path: Path) -> None:
    """REAPER knows three quotes and one line; XML any text, but no broken one."""
    for name, in_rpp, in_dawproject in (
        ("\"all' three`", False, True),
        ("line\nend", False, True),
        ("caf\udce9", False, False),
    ):
        source, stems = make(tmp_path, name=f"{name}.flac")
        for form, is_able in zip(FORMATS, (in_rpp, in_dawproject), strict=True):
            if is_able:
                place = write_session(form, source, stems)
                assert play(READERS[form.name](place), place.parent, only_muted=True).shape[0] == source.frames
            else:
                with pytest.raises(PlacementError, match="a path holds"):
                    write_session(form, source, stems)


def test_quotes_are_reapers() -> None:
    assert [quote(text) for text in ("a b", 'a"b', "a\"b'c", "`\"'")] == ['"a b"', "'a\"b'", "`a\"b'c`", "`'\"'`"]


def seen(score: Score) -> list[tuple[str, str, bool]]:
    return [(one.track, one.file, one.is_muted) for one in score.played]


@pytest.mark.parametrize("name", NAMES)
def test_rpp_is_read_by_others(tmp_path: Path, name: str) -> None:
    """Each of them was written by somebody else."""
    source, stems = make(tmp_path, name=f"{name}.flac")
    place = write_session(FORMATS[0], source, stems, bpm="128.5")
    ours, text = seen(read_rpp(place)), place.read_text(encoding="utf-8")
    root = rpp.loads(text)
    assert (root.find("TEMPO")[1], root.find("SAMPLERATE")[1]) == ("128.5", "44100")
    tracks = [one for one in root.findall("TRACK") if one.find("ITEM")]
    assert ours == [(one.find("NAME")[1], one.find(".//FILE")[1], one.find("MUTESOLO")[1] == "1") for one in tracks]
    document = reaper_parser.parse(text)
    assert document.text() == text
    assert ours == [
        (one.name, one.items[0].takes[0].source.file_path, bool(one.muted))
        for one in document.project.tracks
        if one.items
    ]


@pytest.mark.parametrize("name", NAMES)
def test_rpp_is_read_by_reapers_own_parser(tmp_path: Path, name: str) -> None:
    rppxml = pytest.importorskip("rppxml")
    source, stems = make(tmp_path, name=f"{name}.flac")
    place = write_session(FORMATS[0], source, stems)
    ours, whole = seen(read_rpp(place)), rppxml.loads(place.read_text(encoding="utf-8"))
    nodes = [one for one in whole.children if not isinstance(one, list)]
    lines = [{one[0]: one[1:] for one in node.children if isinstance(one, list)} for node in nodes]
    items = [[one for one in node.children if not isinstance(one, list)] for node in nodes]
    assert ours == [
        (str(line["NAME"][0]), str(item[0].children[-1].children[0][1]), line["MUTESOLO"][0] == 1)
        for line, item in zip(lines, items, strict=True)
        if item
    ]


def test_tags_give_tempo_and_metadata(tmp_path: Path) -> None:
    source, stems = make(tmp_path)
    for text, tempo in (("93", 93.0), ("93,5", 93.5), ("0", 120.0), ("fast", 120.0), ("nan", 120.0), ("", 120.0)):
        assert read_rpp(write_session(FORMATS[0], source, stems, bpm=text)).tempo == tempo
        assert read_dawproject(write_session(FORMATS[1], source, stems, bpm=text)).tempo == tempo
    place = write_session(FORMATS[1], source, stems, title="One\n<two>", artist="Ä & B", date="1999", genre="Rock")
    with zipfile.ZipFile(place) as container:
        told = {one.tag: one.text for one in ET.fromstring(container.read("metadata.xml"))}
    assert told == {"Title": "One <two>", "Artist": "Ä & B", "Year": "1999"}


def test_a_session_is_the_same_bytes_each_time_and_elsewhere(tmp_path: Path) -> None:
    source, stems = make(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    moved = [msgspec.structs.replace(one, path=tmp_path / "two/Song.stems" / one.path.name) for one in stems]
    there = msgspec.structs.replace(source, path=tmp_path / "two/Song.flac")
    first = [write_session(form, there, moved).read_bytes() for form in FORMATS]
    (tmp_path / "two").rename(tmp_path / "one")
    assert [write_session(form, source, stems).read_bytes() for form in FORMATS] == first


def test_the_song_is_relative_from_below_it_and_absolute_from_elsewhere(tmp_path: Path) -> None:
    source, stems = make(tmp_path / "music")
    heard = [(stem, identify(stem.path)) for stem in stems]

    def path_from(place: Path) -> str:
        made: Arrangement = arrange(source, heard, place, {})
        assert made.source is not None
        return made.source.path

    assert path_from(tmp_path / "music/Song.rpp") == "Song.flac"
    assert path_from(tmp_path / "music/deep/below/Song.rpp") == os.path.join("..", "..", "Song.flac")
    assert path_from(tmp_path / "other/Song.rpp") == str(source.path)


@pytest.mark.skipif(
    not SCHEMA, reason="STEMBRIDGE_TEST_DAWPROJECT_SCHEMA names no folder with Project.xsd and MetaData.xsd"
)
def test_a_dawproject_is_valid_by_the_schema(tmp_path: Path) -> None:
    xml = pytest.importorskip("lxml.etree")
    source, stems = make(tmp_path)
    place = write_session(FORMATS[1], source, stems, title="One", artist="Two")
    with zipfile.ZipFile(place) as container:
        for name, schema in (("project.xml", "Project.xsd"), ("metadata.xml", "MetaData.xsd")):
            xml.XMLSchema(file=Path(SCHEMA) / schema).assertValid(xml.fromstring(container.read(name)))
