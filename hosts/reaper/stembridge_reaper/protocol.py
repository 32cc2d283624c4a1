"""The documents that REAPER's scripts and the worker exchange, version 1: ``manifests/hosts/reaper/*.schema.json``."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from plugin_core.errors import UsageError
from plugin_core.model import show_path

VERSION = 1


class RequestProject(msgspec.Struct, frozen=True, kw_only=True):
    """The project a run was started in."""

    path: str
    """Of the .RPP; empty when it was never saved."""
    media: str = ""
    """The folder that the project records into."""


class RequestFile(msgspec.Struct, frozen=True, kw_only=True):
    """One root file that items play."""

    key: str
    path: Path
    spans: tuple[tuple[float, float], ...] = ()
    """Seconds that its items play; empty when the whole file is needed."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a script asks for; items are its own matter and not read by the worker."""

    version: int
    id: str
    created: float
    kind: str
    """``separate`` or ``label``."""
    preset: str
    project: RequestProject
    files: tuple[RequestFile, ...]


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

    key: str
    path: Path
    state: str = "waiting"
    """``waiting``, or the state of the job of this file that is furthest behind."""
    progress: float = 0.0
    message: str = ""
    parts: list[PartStatus] = []


class InsertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What of the user's settings the script needs."""

    mute_source: bool = True
    show_in_items: bool = True


class Status(msgspec.Struct, kw_only=True):
    """What the worker says; replaced in one step, at least every two seconds while it lives."""

    version: int = VERSION
    id: str
    pid: int
    heartbeat: float
    state: str = "starting"
    """``starting``, ``asking``, ``working``, ``done``, ``failed`` or ``cancelled``; the last three are final."""
    message: str = ""
    jobs: list[str] = []
    settings: InsertSettings = InsertSettings()
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


def read_jobs(path: Path) -> list[str]:
    """Return the ids of the jobs that an earlier worker of the same run wrote into its status; none if it did not."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    found = document.get("jobs") if isinstance(document, dict) else None
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
