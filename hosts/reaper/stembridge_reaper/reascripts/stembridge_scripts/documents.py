"""What scripts read and write: JSON documents, what ``install`` wrote, our line in items' notes, items' states."""

from __future__ import annotations

import json
import os
import re
import tempfile
import traceback
from typing import TYPE_CHECKING, Any, Dict

if TYPE_CHECKING:
    from collections.abc import Collection


Document = Dict[str, Any]
"""A JSON object."""


class Refusal(Exception):
    """The action cannot go on; the text is one sentence for the message box."""


def write_document(path: str, document: Document) -> None:
    """Replace a file by a document as ASCII JSON."""
    temporary = "%s.%d.new" % (path, os.getpid())
    with open(temporary, "w", encoding="ascii") as opened:
        # In one go, by what is in C; and no tick waits for the disk.
        opened.write(json.dumps(document))
    os.replace(temporary, path)


def read_document(path: str) -> Document | None:
    """Return the document in a file; None when it is missing, unreadable or no object."""
    try:
        with open(path, encoding="utf-8") as opened:
            document = json.load(opened)
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def touch(path: str, words: str = "") -> None:
    """Make a file whose being there is the message; it may hold more."""
    with open(path, "a", encoding="ascii") as opened:
        opened.write(words)


LOG = "stembridge-reaper-error.txt"


def keep_traceback() -> str:
    """Write down where the present exception came from; return the file, or words that say why there is none."""
    path = os.path.join(tempfile.gettempdir(), LOG)
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as opened:
            opened.write(traceback.format_exc() + "\n")
    except OSError:
        return "no file, since %s cannot be written" % path
    return path


CONFIGURATION_VERSION = 2


def configuration_path(resource_path: str) -> str:
    """Return where the installer puts the configuration below REAPER's resource path."""
    return os.path.join(resource_path, "Scripts", "stembridge", "stembridge.json")


def read_configuration(resource_path: str) -> Document:
    """Return the configuration below REAPER's resource path.

    Raises Refusal when it is missing, or of another version, or the home folder is not there.
    """
    document = read_document(configuration_path(resource_path))
    if document is None:
        raise Refusal("stembridge is not set up in this REAPER: run 'stembridge reaper install' once.")
    if document.get("version") != CONFIGURATION_VERSION:
        raise Refusal("These scripts are of another version: run 'stembridge reaper install' again.")
    # Made anew there, it would know nothing of what was bought.
    if not os.path.isdir(document["runs"]):
        raise Refusal(AWAY % document["home"])
    return document


AWAY = (
    "The home folder of stembridge is not at %s: bring it or its disk back, or run 'stembridge reaper install' again."
)


def choose_preset(configuration: Document, words: str) -> str:
    """Return the name of the preset that a number or a name means.

    Raises Refusal when there is none.
    """
    names = [str(preset["name"]) for preset in configuration["presets"]]
    words = words.strip()
    for name in names:
        if name.lower() == words.lower():
            return name
    if words.isdecimal() and 1 <= int(words) <= len(names):
        return names[int(words) - 1]
    raise Refusal("There is no preset '%s'; there are %s." % (words, ", ".join(names)))


def preset_kind(configuration: Document, name: str) -> str:
    """Return what a preset does: ``separate``, or ``label`` when it separates nothing."""
    kinds = {str(preset["name"]): str(preset.get("kind", "separate")) for preset in configuration["presets"]}
    return kinds.get(name, "separate")


NOTE = "[stembridge] "

_LINE = re.compile(r"(?:^|\r?\n)\[stembridge\] [^\r\n]*")


def with_line(notes: str, words: str) -> str:
    """Return notes with our line at the end, and no other line of ours."""
    notes = without_line(notes)
    return (notes + "\n" if notes else "") + NOTE + words


def without_line(notes: str) -> str:
    """Return notes without our line; equal to what they were before it."""
    return _LINE.sub("", notes)


def without_mark(marks: str, run: str) -> str:
    """Return what an item says of its runs without one of them."""
    return " ".join(mark for mark in marks.split() if not mark.startswith(run))


def without_takes(chunk: str, guids: Collection[str]) -> str:
    """Return an item's chunk without the takes of these GUIDs, of which none is the first."""
    takes: list[list[str]] = [[]]
    depth = 0
    for line in chunk.splitlines():
        words = line.strip()
        if depth == 1 and words.split(" ")[0] in ("TAKE", ">"):
            takes.append([])
        depth += words.startswith("<") - (words == ">")
        takes[-1].append(line)
    own = {"GUID " + guid for guid in guids}
    kept = [line for take in takes if own.isdisjoint(line.strip() for line in take) for line in take]
    return "\n".join(kept) + "\n"


def wrap_source(chunk: str, section: list[str]) -> str:
    """Return an item's chunk with the block of its one source inside that of a section; empty if there is not one."""
    lines = chunk.splitlines()
    first, depth = -1, 0
    for number, line in enumerate(lines):
        words = line.strip()
        if words.startswith("<"):
            depth += 1
            if depth == 2 and words.startswith("<SOURCE"):
                first = number
        elif words == ">":
            depth -= 1
            if depth == 1 and first >= 0:
                block = ["<SOURCE SECTION", *section, *lines[first : number + 1], ">"]
                return "\n".join(lines[:first] + block + lines[number + 1 :]) + "\n"
    return ""
