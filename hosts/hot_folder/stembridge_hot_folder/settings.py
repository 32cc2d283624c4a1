"""Section ``[watch]`` of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=86400.0)]


class WatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How hot folders are watched."""

    folders: tuple[Path, ...] = ()
    """Folders to watch when the command names none."""
    preset: str = ""
    """Preset for songs outside every preset's folder; empty means what ``stembridge separate`` would do."""
    done: str = ""
    """Folder that finished songs move to with their stems, from the hot folder; empty leaves them where they are."""
    duplicates: str = ""
    """Folder that songs move to which were done before under another name; empty leaves them."""
    failed: str = ""
    """Folder that failed songs move to with their notes; empty leaves them."""
    unknown: Literal["usual", "hold"] = "usual"
    """What becomes of songs in a folder that names no preset: the usual, or nothing until it names one."""
    sessions: bool = False
    """Whether songs are taken out of the folders of a DAW's session."""
    settle_seconds: Seconds = 5.0
    """A file is taken once nothing of it changed for so long."""
    share_settle_seconds: Seconds = 15.0
    """The same for network shares, which tell of changes late."""
    rescan_seconds: Annotated[float, msgspec.Meta(ge=0.2, le=86400.0)] = 60.0
    """Every folder is looked through so often, whatever the system tells of changes."""
    share_rescan_seconds: Annotated[float, msgspec.Meta(ge=0.2, le=86400.0)] = 15.0
    """The same for network shares, and where the system cannot tell of changes."""
    max_wait_seconds: Seconds = 600.0
    """A file that has not settled for so long is warned about; it is never given up."""
    at_once: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    """Songs in work at the same time; each provider has its own limit as well."""
    attempts: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    """Tries after which a song that is in trouble makes room for others and is told of beside it."""
    suffixes: tuple[str, ...] = ()
    """More endings to take for songs (``.mp4``)."""
    ignore: tuple[str, ...] = ()
    """More names to pass over, as patterns (``*demo*``)."""
    again: bool = False
    """Whether songs are done that were done before under another name."""
