"""Readers of session files that were written from the documents of the formats alone, and what such a session plays."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import soundfile

from tests.audio_files import Signal


@dataclass
class Played:
    """A file on a track."""

    track: str
    file: str
    gain: float
    is_muted: bool
    colour: tuple[int, int, int]
    channels: int
    """Of the track."""
    position: float = 0.0
    offset: float = 0.0
    length: float = 0.0


@dataclass
class Score:
    """What a session says it plays."""

    sample_rate: int
    channels: int
    tempo: float
    played: list[Played] = field(default_factory=list)
    folder: dict[str, list[str]] = field(default_factory=dict)
    """The tracks in a folder, by its name."""


@dataclass
class Node:
    """What stands between < and >."""

    words: list[str]
    lines: list[list[str]] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def line(self, name: str) -> list[str]:
        (found,) = [words[1:] for words in self.lines if words[0] == name]
        return found

    def named(self, name: str) -> list[Node]:
        return [node for node in self.nodes if node.words[0] == name]


def read_rpp(path: Path) -> Score:
    (root,) = parse_rpp(path.read_bytes().decode().split("\n")).nodes
    assert root.words[0] == "REAPER_PROJECT"
    score = Score(int(root.line("SAMPLERATE")[0]), int(root.line("MASTER_NCH")[0]), float(root.line("TEMPO")[0]))
    assert root.line("SAMPLERATE")[1] == "1"
    open_folders: list[tuple[str, float, bool]] = []
    for track in root.named("TRACK"):
        (name,), (gain, pan), mute = track.line("NAME"), track.line("VOLPAN")[:2], track.line("MUTESOLO")[0]
        assert (pan, track.line("MAINSEND")[0]) == ("0", "1")
        for folder, _, _ in open_folders:
            score.folder[folder].append(name)
        number = int(track.line("PEAKCOL")[0])
        assert number & 0x1000000
        for item in track.named("ITEM"):
            (source,) = item.named("SOURCE")
            assert (item.line("LOOP"), item.line("MUTE")[0], item.line("VOLPAN")[0]) == (["0"], "0", "1")
            assert (item.line("FADEIN")[1], item.line("FADEOUT")[1], item.line("PLAYRATE")[0]) == ("0", "0", "1")
            score.played.append(
                Played(
                    track=name,
                    file=source.line("FILE")[0],
                    gain=float(gain) * float(np.prod([one for _, one, _ in open_folders])),
                    is_muted=mute != "0" or any(one for _, _, one in open_folders),
                    colour=(number & 255, number >> 8 & 255, number >> 16 & 255),
                    channels=int(track.line("NCHAN")[0]),
                    position=float(item.line("POSITION")[0]),
                    offset=float(item.line("SOFFS")[0]),
                    length=float(item.line("LENGTH")[0]),
                )
            )
        kind, depth = map(int, track.line("ISBUS"))
        if kind == 1:
            open_folders.append((name, float(gain), mute != "0"))
            score.folder[name] = []
        elif kind == 2:
            del open_folders[depth:]
    assert open_folders == []
    return score


def parse_rpp(lines: list[str]) -> Node:
    stack = [Node([])]
    for line in lines:
        text = line.strip()
        if text == ">":
            stack.pop()
        elif text.startswith("<"):
            node = Node(list(words_of(text[1:])))
            stack[-1].nodes.append(node)
            stack.append(node)
        elif text:
            stack[-1].lines.append(list(words_of(text)))
    assert len(stack) == 1
    return stack[0]


def words_of(line: str) -> Iterator[str]:
    while line := line.lstrip(" "):
        if line[0] in "\"'`":
            word, _, line = line[1:].partition(line[0])
        else:
            word, _, line = line.partition(" ")
        yield word


def read_dawproject(path: Path) -> Score:
    with zipfile.ZipFile(path) as container:
        assert container.testzip() is None
        assert container.namelist() == ["project.xml", "metadata.xml"]
        root = ET.fromstring(container.read("project.xml"))
        assert ET.fromstring(container.read("metadata.xml")).tag == "MetaData"
    check_dawproject(root)
    tracks = {one.attrib["id"]: one for one in root.iter("Track")}
    channels = {one.attrib["id"]: one for one in root.iter("Channel")}
    (master,) = [one for one in channels.values() if one.attrib["role"] == "master"]
    tempo = root.find("Transport/Tempo")
    assert tempo is not None
    audio = list(root.iter("Audio"))
    score = Score(int(audio[0].attrib["sampleRate"]), int(master.attrib["audioChannels"]), float(tempo.attrib["value"]))
    for track in tracks.values():
        if inner := track.findall("Track"):
            score.folder[track.attrib["name"]] = [one.attrib["name"] for one in inner]
    (timeline,) = root.findall("Arrangement/Lanes")
    assert timeline.attrib["timeUnit"] == "seconds"
    for lane in timeline.findall("Lanes"):
        track = tracks[lane.attrib["track"]]
        gain, is_muted, channel = 1.0, False, track.find("Channel")
        assert channel is not None
        own = int(channel.attrib["audioChannels"])
        while channel is not None:
            mute, volume, pan = channel.find("Mute"), channel.find("Volume"), channel.find("Pan")
            assert mute is not None and volume is not None and pan is not None
            assert float(pan.attrib["value"]) == 0.5
            gain *= float(volume.attrib["value"])
            is_muted |= mute.attrib["value"] == "true"
            to = channel.get("destination")
            assert to is not None or channel is master
            channel = None if to is None else channels[to]
        for clip in lane.findall("Clips/Clip"):
            file = clip.find("Audio/File")
            assert file is not None and file.attrib["external"] == "true"
            score.played.append(
                Played(
                    track=track.attrib["name"],
                    file=file.attrib["path"],
                    gain=gain,
                    is_muted=is_muted,
                    colour=tuple(bytes.fromhex(track.attrib["color"][1:])),  # type: ignore[arg-type]
                    channels=own,
                    position=float(clip.attrib["time"]),
                    offset=float(clip.attrib["playStart"]),
                    length=float(clip.attrib["duration"]),
                )
            )
    return score


CHILDREN = {
    "Project": "Application Transport? Structure? Arrangement? Scenes?",
    "Application": "",
    "Transport": "Tempo? TimeSignature?",
    "Structure": "Track*",
    "Track": "Channel? Track*",
    "Channel": "Mute? Pan? Volume?",
    "Arrangement": "Lanes?",
    "Lanes": "(Lanes|Clips)*",
    "Clips": "Clip*",
    "Clip": "Audio",
    "Audio": "File",
    **dict.fromkeys(("Tempo", "TimeSignature", "Mute", "Pan", "Volume", "File", "Scenes"), ""),
}
"""The order of elements, as the format's schema has it, of those that are used here."""
REQUIRED = {
    "Project": "version",
    "Application": "name version",
    "Tempo": "unit value",
    "TimeSignature": "numerator denominator",
    "Track": "id contentType",
    "Channel": "id role audioChannels",
    "Pan": "unit value",
    "Volume": "unit value",
    "Mute": "value",
    "Clip": "time duration",
    "Audio": "channels sampleRate duration",
    "File": "path external",
}
REFERENCES = {"track": "Track", "destination": "Channel"}


def check_dawproject(root: ET.Element) -> None:
    """Hold a project against the structure that the format's documents describe."""
    ids = {one.attrib["id"]: one.tag for one in root.iter() if "id" in one.attrib}
    assert len(ids) == sum("id" in one.attrib for one in root.iter())
    assert root.attrib["version"] == "1.0"
    for element in root.iter():
        pattern = re.sub(r"(\w+)", r"(?:\1 )", CHILDREN[element.tag]).replace(") ", ")").replace(" (", "(")
        assert re.fullmatch(pattern, "".join(f"{child.tag} " for child in element)), element.tag
        assert set(REQUIRED.get(element.tag, "").split()) <= element.attrib.keys(), element.tag
        for name, tag in REFERENCES.items():
            assert name not in element.attrib or ids[element.attrib[name]] == tag
        assert all(re.fullmatch(r"[A-Za-z_][\w.-]*", one) for one in ids)


READERS = {"rpp": read_rpp, "dawproject": read_dawproject}


def play(score: Score, folder: Path, *, only_muted: bool = False) -> Signal:
    """Return what a session plays, or only what it keeps silent; each sample summed where it falls."""
    total = np.zeros((0, score.channels))
    for one in score.played:
        if one.is_muted != only_muted:
            continue
        samples, rate = soundfile.read(os.fsencode(folder / one.file), always_2d=True)
        assert rate == score.sample_rate
        start, first, count = (round(each * rate) for each in (one.position, one.offset, one.length))
        cut = samples[first : first + count] * one.gain
        assert one.channels >= cut.shape[1]
        if len(total) < start + len(cut):
            total = np.pad(total, ((0, start + len(cut) - len(total)), (0, 0)))
        # A mono file is heard on both sides of a stereo track.
        total[start : start + len(cut)] += cut if cut.shape[1] == score.channels else np.repeat(cut, score.channels, 1)
    return total
