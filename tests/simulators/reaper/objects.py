"""What a project is made of: tracks, items, takes and sources, and their state as plain values."""

from __future__ import annotations

import os
import struct
import uuid
from typing import Any, Dict, Iterator

State = Dict[str, Any]

ITEM_DEFAULTS = {"D_VOL": 1.0, "B_LOOPSRC": 1.0, "D_LENGTH": 0.0, "D_POSITION": 0.0, "C_BEATATTACHMODE": -1.0}
TAKE_DEFAULTS = {"D_VOL": 1.0, "D_PLAYRATE": 1.0, "B_PPITCH": 1.0, "I_PITCHMODE": -1.0, "D_PANLAW": -1.0}
TRACK_DEFAULTS = {
    "D_VOL": 1.0,
    "D_WIDTH": 1.0,
    "D_PANLAW": -1.0,
    "B_MAINSEND": 1.0,
    "I_NCHAN": 2.0,
    "C_BEATATTACHMODE": -1.0,
}


def new_guid() -> str:
    """Return a GUID as REAPER writes it."""
    return "{" + str(uuid.uuid4()).upper() + "}"


class Source:
    """Where a take's samples come from; a section has the source it is cut from."""

    def __init__(self, kind: str, path: str = "", parent: Source | None = None) -> None:
        self.kind = kind
        self.path = path
        self.parent = parent
        self.start = 0.0
        self.span = 0.0
        self.overlap = 0.01
        self.mode = 0
        """2 reversed section, 3 reversed whole."""
        self.peaks = -1
        """Percent still to build; -1 before it was begun."""

    @property
    def root(self) -> Source:
        """The source with the file."""
        return self.parent.root if self.parent else self

    @property
    def is_section(self) -> bool:
        """Whether it is cut from another."""
        return self.kind == "SECTION"

    @property
    def is_reversed(self) -> bool:
        """Whether it plays backwards."""
        return self.is_section and self.mode in (2, 3)

    @property
    def shape(self) -> tuple[float, int, int]:
        """Seconds, sample rate and channels."""
        if self.parent:
            seconds, rate, channels = self.parent.shape
            return (self.span or seconds), rate, channels
        return read_shape(self.path) if self.path and os.path.isfile(self.path) else (0.0, 0, 0)

    def state(self) -> State:
        """Return all of it as plain values."""
        kept = {key: getattr(self, key) for key in ("kind", "path", "start", "span", "overlap", "mode")}
        return dict(kept, parent=self.parent.state() if self.parent else None)

    @staticmethod
    def restore(state: State) -> Source:
        """Make a source from its state."""
        parent = Source.restore(state["parent"]) if state["parent"] else None
        made = Source(state["kind"], state["path"], parent)
        made.start, made.span, made.overlap, made.mode = (state[k] for k in ("start", "span", "overlap", "mode"))
        return made


class Thing:
    """What tracks, items and takes have in common: a GUID, numbers and texts."""

    def __init__(self, defaults: dict[str, float]) -> None:
        self.values = dict(defaults)
        self.counts: dict[str, int] = {}
        """How many effects, sends and envelopes there are: ``fx``, ``sends``, ``envelopes``."""
        self.texts: dict[str, str] = {"GUID": new_guid()}

    @property
    def guid(self) -> str:
        """The GUID."""
        return self.texts["GUID"]

    @property
    def name(self) -> str:
        """The name people see."""
        return self.texts.get("P_NAME", "")

    def _state(self) -> State:
        # REAPER reads no difference between a text that is empty and one that was never set.
        return {"values": dict(self.values), "texts": {key: text for key, text in self.texts.items() if text}}

    def _restore(self, state: State) -> None:
        self.values, self.texts = dict(state["values"]), dict(state["texts"])


class Take(Thing):
    """A take of an item."""

    def __init__(self, source: Source | None = None) -> None:
        super().__init__(TAKE_DEFAULTS)
        self.source = source
        self.markers: list[tuple[float, float, float]] = []
        """Position, source position and slope."""

    def state(self) -> State:
        """Return all of it as plain values."""
        source = self.source.state() if self.source else None
        return dict(self._state(), source=source, markers=[list(one) for one in self.markers])

    @staticmethod
    def restore(state: State) -> Take:
        """Make a take from its state."""
        take = Take(Source.restore(state["source"]) if state["source"] else None)
        take._restore(state)
        take.markers = [(one[0], one[1], one[2]) for one in state["markers"]]
        return take


class Item(Thing):
    """An item on a track."""

    def __init__(self) -> None:
        super().__init__(ITEM_DEFAULTS)
        self.takes: list[Take] = []
        self.active = 0
        self.is_selected = False

    @property
    def take(self) -> Take | None:
        """The active take."""
        return self.takes[self.active] if self.takes else None

    def state(self) -> State:
        """Return all of it as plain values."""
        takes = [take.state() for take in self.takes]
        return dict(self._state(), takes=takes, active=self.active, is_selected=self.is_selected)

    @staticmethod
    def restore(state: State) -> Item:
        """Make an item from its state."""
        item = Item()
        item._restore(state)
        item.takes = [Take.restore(one) for one in state["takes"]]
        item.active, item.is_selected = state["active"], state["is_selected"]
        return item


class Track(Thing):
    """A track with its items."""

    def __init__(self, name: str = "") -> None:
        super().__init__(TRACK_DEFAULTS)
        self.texts["P_NAME"] = name
        self.items: list[Item] = []

    @property
    def depth(self) -> int:
        """How many folders the track opens, or closes below zero."""
        return int(self.values.get("I_FOLDERDEPTH", 0))

    def state(self) -> State:
        """Return all of it as plain values."""
        return dict(self._state(), items=[item.state() for item in self.items])

    @staticmethod
    def restore(state: State) -> Track:
        """Make a track from its state."""
        track = Track()
        track._restore(state)
        track.items = [Item.restore(one) for one in state["items"]]
        return track


class Project:
    """A project tab, with its undo history."""

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.media = ""
        self.pan_law = 1.0
        """What a track in the middle is turned down to, which has no law of its own."""
        self.selection = self.loop = (0.0, 0.0)
        """The time selection, and the loop points."""
        self.tracks: list[Track] = []
        self.ext: dict[str, str] = {}
        self.history: list[tuple[str, State]] = []
        self.changes = 0

    @property
    def items(self) -> Iterator[Item]:
        """Every item, track by track."""
        for track in self.tracks:
            yield from track.items

    def state(self) -> State:
        """Return what undo keeps, as plain values."""
        return {"tracks": [track.state() for track in self.tracks]}

    def restore(self, state: State) -> None:
        """Go back to a state; every object is a new one."""
        self.tracks = [Track.restore(one) for one in state["tracks"]]
        self.changes += 1

    def remember(self, words: str) -> None:
        """Put the present state into the history."""
        self.history.append((words, self.state()))
        self.changes += 1

    def undo(self) -> str:
        """Take the last step back and return its name."""
        words, _ = self.history.pop()
        self.restore(self.history[-1][1])
        return words


def read_shape(path: str) -> tuple[float, int, int]:
    """Return seconds, sample rate and channels of a WAV or FLAC file, from its header."""
    with open(path, "rb") as opened:
        content = opened.read(1 << 16)
    if content[:4] == b"fLaC":
        packed = int.from_bytes(content[18:26], "big")
        rate, channels, frames = packed >> 44, ((packed >> 41) & 7) + 1, packed & ((1 << 36) - 1)
        return frames / rate, rate, channels
    place, rate, channels, width = 12, 0, 0, 1
    while place + 8 <= len(content):
        name, size = content[place : place + 4], struct.unpack("<I", content[place + 4 : place + 8])[0]
        if name == b"fmt ":
            channels, rate, _, width = struct.unpack("<HIIH", content[place + 10 : place + 22])
        elif name == b"data":
            return size / width / rate, rate, channels
        place += 8 + size + size % 2
    return 0.0, 0, 0
