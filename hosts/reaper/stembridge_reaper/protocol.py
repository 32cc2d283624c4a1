"""The documents that REAPER's scripts and the worker exchange, version 2: ``manifests/hosts/reaper/*.schema.json``.

And what our tracks and items say of themselves in the project, which scripts carry back and forth unread.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.errors import UsageError
from plugin_core.model import show_path

VERSION = 2

EXTENSION: Final = "P_EXT:stembridge"
FOLDER: Final = "folder"
PENDING: Final = "pending"


class RequestProject(msgspec.Struct, frozen=True, kw_only=True):
    """The project a run was started in."""

    path: str
    """Of the .RPP; empty when it was never saved."""
    media: str = ""
    """The folder that the project records into."""
    open: tuple[str, ...] = ()
    """Paths of all projects that are open."""
    selection: tuple[float, float] | None = None
    """The time selection, in seconds of the project."""


class SourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One source of a take: a section, what that is cut from, or a file."""

    kind: str
    """``WAVE``, ``SECTION``, ``MIDI`` and the like."""
    path: str = ""
    length: float = 0.0
    is_beats: bool = False
    channels: int = 0
    section: tuple[float, float, bool] | None = None
    """Offset, length, and whether it plays backwards."""


class ItemFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a script reads of one item; nothing is decided there."""

    guid: str
    track: str
    take: str = ""
    """GUID of the active take; empty for an empty item."""
    name: str = ""
    fault: str = ""
    """Why it cannot be read; empty when it can."""
    is_midi: bool = False
    sources: tuple[SourceFacts, ...] = ()
    """The outermost first."""
    item_values: dict[str, float] = {}
    take_values: dict[str, float] = {}
    markers: tuple[tuple[float, float, float], ...] = ()
    """Stretch markers: seconds in the take, seconds in its source, slope."""
    state: str = ""
    """The item as REAPER writes it, where its source is a section."""
    extras: dict[str, int] = {}
    """How many effects and envelopes the take has."""
    tags: tuple[str, ...] = ()
    """What each of its takes says of itself; empty texts where none is ours."""
    razors: tuple[tuple[float, float], ...] = ()
    """The razor edits on its track, in seconds of the project."""
    marks: tuple[str, ...] = ()
    """Runs that it was selected for, each followed by the GUID that it had: another than its own where it was split off
    or copied since."""

    @property
    def family(self) -> list[str]:
        """GUIDs of the items that it was split off or copied from, and its own."""
        return list(dict.fromkeys([*(mark[mark.rfind("{") :] for mark in self.marks), self.guid]))


class TrackFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a script reads of one track: of those of items all, of others the tag alone."""

    guid: str
    tag: str = ""
    name: str = ""
    values: dict[str, float] = {}
    extras: dict[str, int] = {}
    """How many effects, sends, envelopes and the like it has."""


class StandingStem(msgspec.Struct, frozen=True, kw_only=True):
    """An item that an earlier insertion made."""

    guid: str
    track: str
    tag: str
    values: dict[str, float] = {}
    """``place``: position, length, offset and rate."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a script asks for."""

    version: int
    id: str
    created: float
    kind: str
    """``separate`` or ``label`` items; ``place`` the stems of a run; ``insert``, ``jobs`` or ``cancel`` runs; tell the
    ``choices``."""
    preset: str = ""
    provider: str = ""
    model: str = ""
    """``separate`` without a preset: who separates, and by which model."""
    stems: tuple[str, ...] = ()
    """``separate``: those of the preset's or the model's that are wanted; none means all."""
    stem_tracks: str = ""
    """``separate``: where they shall be, as the setting says it; empty for what that says."""
    project: RequestProject
    items: tuple[ItemFacts, ...] = ()
    """``place``: as they are now; those that are gone are missing, what was split off or copied of them follows."""
    run: str = ""
    """``place``: the run's folder."""
    tracks: tuple[TrackFacts, ...] = ()
    """``place`` and ``insert``."""
    standing: tuple[StandingStem, ...] = ()
    """``place`` and ``insert``."""
    guids: tuple[str, ...] = ()
    """``insert``: of every item of the project."""
    placed: tuple[str, ...] = ()
    """``place``: GUIDs of items that need no look any more; people may have undone what was placed for them."""


class StemResult(msgspec.Struct, frozen=True, kw_only=True):
    """One stem that stands."""

    name: str
    title: str
    path: Path
    job: str
    start: float = 0.0
    """Second of the file at which it begins."""


class LabelResult(msgspec.Struct, frozen=True, kw_only=True):
    """One label that was found."""

    dimension: str
    value: str
    probability: float | None = None


class PartStatus(msgspec.Struct, kw_only=True):
    """A part of a file, with all that was separated of it."""

    start: float = 0.0
    """Second of the file from which on there are stems; each says itself where it begins."""
    end: float | None = None
    """None for the whole file."""
    stems: tuple[StemResult, ...] = ()
    labels: tuple[LabelResult, ...] = ()


class FileStatus(msgspec.Struct, kw_only=True):
    """How far one file is."""

    path: Path
    items: tuple[int, ...] = ()
    """Which items of the request play it, from 0."""
    state: str = "waiting"
    """``waiting``, or the state of the job of this file that is furthest behind."""
    progress: float = 0.0
    message: str = ""
    words: str = ""
    """How far it is, for people."""
    note: str = ""
    """What to show in its items; empty shows nothing."""
    parts: list[PartStatus] = []


class ChoiceStem(msgspec.Struct, frozen=True, kw_only=True):
    """A stem that can be chosen or left out."""

    name: str
    title: str


class MenuChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A preset, or a model of a provider."""

    title: str
    note: str = ""
    """Name of the preset, or who separates and for how much."""
    kind: str = "separate"
    preset: str = ""
    provider: str = ""
    model: str = ""
    stems: tuple[ChoiceStem, ...] = ()
    """None where they cannot be chosen."""


class Status(msgspec.Struct, kw_only=True):
    """What the worker says; replaced in one step, at least every two seconds while it lives."""

    version: int = VERSION
    id: str
    pid: int
    heartbeat: float
    state: str = "starting"
    """``starting``, ``asking``, ``working``, ``done``, ``failed`` or ``cancelled``; the last three are final."""
    message: str = ""
    """The question, or what to tell when all is done; empty tells nothing."""
    buttons: int = 1
    """Of the question, as REAPER counts them: 1 OK and Cancel, 3 Yes, No and Cancel, 4 Yes and No."""
    options: list[str] = []
    """What the question lets people choose from: ``go`` then holds the numbers of those that are, from 0, as JSON."""
    choices: list[MenuChoice] = []
    hint: str = ""
    """What to show below the track panel."""
    share: float = 0.0
    """Of the work that is done, 0 to 1."""
    left: float | None = None
    """About how many seconds it will take; None while that cannot be told."""
    console: list[str] = []
    """Lines for the console; more are added at the end."""
    ready: int = 0
    """Files whose stems can be placed."""
    follow: list[str] = []
    """Folders of runs to follow from now on."""
    start: list[str] = []
    """Those of them that need a worker."""
    clear: list[str] = []
    """GUIDs of items whose notes hold a line that is out of date."""
    placed: list[str] = []
    """GUIDs of items that this plan, or one before it, was the last of."""
    jobs: list[str] = []
    files: list[FileStatus] = []


def read_request(path: Path) -> Request:
    """Read a request.

    Raises:
        UsageError: it is missing, no request, or of another version.
    """
    try:
        document = path.read_bytes()
        version = _version_of(document)
        if version == VERSION:
            return msgspec.json.decode(document, type=Request, dec_hook=_decode)
    except OSError as error:
        raise UsageError(f"{show_path(path)} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{show_path(path)} is no request: {error}", remedy="start the action again") from error
    raise UsageError(
        f"{show_path(path)} is a request of version {version}, not {VERSION}",
        remedy="run `stembridge reaper install` so that scripts and worker are of one version",
    )


def _version_of(document: bytes) -> object:
    read = json.loads(document)
    if not isinstance(read, dict):
        raise ValueError("it holds no object")
    return read.get("version")


def _decode(kind: type, value: object) -> object:
    if issubclass(kind, Path) and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected text, got {value!r}")


def read_status(path: Path) -> Status | None:
    """Return what a worker said last; None when it is missing or broken."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status, dec_hook=_decode)
    except (OSError, ValueError, RecursionError):
        return None


class Tag(msgspec.Struct, frozen=True, omit_defaults=True):
    """What our tracks and items say of themselves in the project."""

    run: str = ""
    source: str = ""
    """Of a track: GUID of the source track."""
    stem: str = ""
    """Name of the stem, or ``folder``."""
    item: str = ""
    """Of an item: GUID of the source item."""
    job: str = ""
    file: str = ""
    """Of an item or take: a few letters that say which file it plays."""
    like: str = ""
    """Of an item: digest of how the source item played."""
    at: float = 0.0
    """Of an item: second of the project at which its file would begin."""
    is_silent: bool = False
    """Of an item: whether its source item did not sound, before any stems of it stood."""
    state: str = ""
    """``pending`` while an insertion is at work."""


def read_tag(words: str) -> Tag:
    """Return what a tag says; nothing where it is none of ours."""
    try:
        return msgspec.json.decode(words or "{}", type=Tag)
    except msgspec.DecodeError:
        return Tag()


def write_tag(tag: Tag) -> str:
    """Return the words of a tag; REAPER keeps ASCII."""
    return json.dumps(msgspec.to_builtins(tag))
