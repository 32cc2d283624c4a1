"""What ``install`` changed, kept beside the scripts so that ``uninstall`` can put it back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from stembridge_reaper.install.places import scripts_folder
from stembridge_reaper.install.text_file import write_bytes

NAME = "installed.json"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One key of reaper.ini."""

    before: str | None
    after: str


class Record(msgspec.Struct, kw_only=True):
    """Everything that was changed outside the folder of scripts."""

    keys: dict[str, Change] = {}
    added_section: bool = False
    created: list[str] = []
    """Names of settings files that were not there before."""
    ended_lines: list[str] = []
    """Names of settings files whose last line had no end."""


def read_record(resource_path: Path) -> Record:
    """Return what was changed so far; nothing when there is no record that can be read."""
    try:
        return msgspec.json.decode((scripts_folder(resource_path) / NAME).read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return Record()


def write_record(resource_path: Path, record: Record) -> None:
    """Keep what was changed."""
    write_bytes(scripts_folder(resource_path) / NAME, msgspec.json.format(msgspec.json.encode(record)) + b"\n")
