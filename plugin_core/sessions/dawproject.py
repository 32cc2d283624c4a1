"""DAWproject 1.0, the exchange format that Bitwig Studio, Studio One, Cubase and others open: XML in a ZIP.

https://github.com/bitwig/dawproject describes it. The stems are referred to, not packed in: they stand beside it.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePath
from typing import Final
from xml.etree import ElementTree as ET

from plugin_core._version import __version__
from plugin_core.errors import PlacementError
from plugin_core.sessions.arrangement import GREY, Arrangement, SessionTrack
from plugin_core.stem_names import Colour

_NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_METADATA: Final = {"title": "Title", "artist": "Artist", "album": "Album", "date": "Year"}
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time of a file in a ZIP: the same stems make the same file."""


class DawProject:
    """``.dawproject``."""

    name = "dawproject"
    title = "Bitwig Studio, Studio One, Cubase, ..."

    def render(self, arrangement: Arrangement) -> bytes:
        """Return the container.

        Raises:
            PlacementError: a path holds a character that XML cannot.
        """
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as container:
            for name, root in (("project.xml", _project(arrangement)), ("metadata.xml", _metadata(arrangement))):
                ET.indent(root)
                text = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' + ET.tostring(root, "utf-8")
                entry = zipfile.ZipInfo(name, _EPOCH)
                container.writestr(entry, text, zipfile.ZIP_DEFLATED)
        return packed.getvalue()


def _project(arrangement: Arrangement) -> ET.Element:
    root = ET.Element("Project", version="1.0")
    ET.SubElement(root, "Application", name="stembridge", version=__version__)
    transport = ET.SubElement(root, "Transport")
    tempo = f"{arrangement.tempo:.10g}"
    ET.SubElement(transport, "Tempo", unit="bpm", value=tempo, min="20", max="666", id="tempo", name="Tempo")
    ET.SubElement(transport, "TimeSignature", numerator="4", denominator="4", id="meter")
    structure = ET.SubElement(root, "Structure")
    timeline = ET.SubElement(
        ET.SubElement(root, "Arrangement", id="arrangement"), "Lanes", timeUnit="seconds", id="lanes"
    )
    wide = max(arrangement.channels, *(track.channels for track in arrangement.stems))
    if arrangement.source is not None:
        _add_track(structure, timeline, arrangement.source, "song", "master-channel", is_muted=True)
    folder = _track(structure, f"{arrangement.name} - Stems", GREY, "tracks", "stems")
    _channel(folder, "stems", wide, "master-channel")
    for number, track in enumerate(arrangement.stems, 1):
        _add_track(folder, timeline, track, f"stem{number}", "stems-channel")
    _channel(_track(structure, "Master", None, "audio notes", "master"), "master", wide)
    ET.SubElement(root, "Scenes")
    return root


def _track(parent: ET.Element, name: str, colour: Colour | None, content: str, key: str) -> ET.Element:
    track = ET.SubElement(parent, "Track", contentType=content, loaded="true", id=key, name=name)
    if colour is not None:
        track.set("color", "#{:02x}{:02x}{:02x}".format(*colour))
    return track


def _channel(
    track: ET.Element, key: str, channels: int, destination: str = "", *, is_muted: bool = False, gain: float = 1.0
) -> None:
    role = "regular" if track.get("contentType") == "audio" else "submix" if destination else "master"
    channel = ET.SubElement(track, "Channel", audioChannels=str(channels), role=role, solo="false", id=f"{key}-channel")
    if destination:
        channel.set("destination", destination)
    ET.SubElement(channel, "Mute", value=str(is_muted).lower(), id=f"{key}-mute", name="Mute")
    ET.SubElement(channel, "Pan", unit="normalized", value="0.5", min="0", max="1", id=f"{key}-pan", name="Pan")
    most = repr(max(2.0, gain))
    ET.SubElement(
        channel, "Volume", unit="linear", value=repr(gain), min="0", max=most, id=f"{key}-volume", name="Volume"
    )


def _add_track(
    parent: ET.Element,
    timeline: ET.Element,
    track: SessionTrack,
    key: str,
    destination: str,
    *,
    is_muted: bool = False,
) -> None:
    element = _track(parent, track.name, track.colour, "audio", key)
    _channel(element, key, track.channels, destination, is_muted=is_muted, gain=track.gain)
    seconds = repr(track.seconds)
    clips = ET.SubElement(ET.SubElement(timeline, "Lanes", track=key, id=f"{key}-lane"), "Clips", id=f"{key}-clips")
    clip = ET.SubElement(
        clips, "Clip", time="0.0", duration=seconds, contentTimeUnit="seconds", playStart="0.0", name=track.name
    )
    audio = ET.SubElement(
        clip,
        "Audio",
        timeUnit="seconds",
        duration=seconds,
        sampleRate=str(track.sample_rate),
        channels=str(track.channels),
        id=f"{key}-audio",
    )
    path = PurePath(track.path).as_posix()
    if _NO_XML.search(path):
        raise PlacementError("a path holds a character that XML cannot")
    ET.SubElement(audio, "File", path=path, external="true")


def _metadata(arrangement: Arrangement) -> ET.Element:
    root = ET.Element("MetaData")
    for name, tag in _METADATA.items():
        if name in arrangement.fields:
            ET.SubElement(root, tag).text = arrangement.fields[name]
    return root
