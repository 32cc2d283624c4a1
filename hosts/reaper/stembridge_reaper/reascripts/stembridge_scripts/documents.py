"""The JSON documents that scripts and worker share, replaced in one step, and what ``install`` wrote for them."""

from __future__ import annotations

import json
import os
import tempfile
import traceback
from typing import Any, Dict

from .words import Refusal

Document = Dict[str, Any]
"""A JSON object."""


def write_document(path: str, document: Document) -> None:
    """Replace a file by a document as ASCII JSON."""
    temporary = "%s.%d.new" % (path, os.getpid())
    with open(temporary, "w", encoding="ascii") as opened:
        json.dump(document, opened)
        opened.flush()
        os.fsync(opened.fileno())
    os.replace(temporary, path)


def read_document(path: str) -> Document | None:
    """Return the document in a file; None when it is missing, unreadable or no object."""
    try:
        with open(path, encoding="utf-8") as opened:
            document = json.load(opened)
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def touch(path: str) -> None:
    """Make an empty file, whose being there is the message."""
    with open(path, "a", encoding="ascii"):
        pass


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

    Raises Refusal when it is missing, or of another version.
    """
    document = read_document(configuration_path(resource_path))
    if document is None:
        raise Refusal("stembridge is not set up in this REAPER: run 'stembridge reaper install' once.")
    if document.get("version") != CONFIGURATION_VERSION:
        raise Refusal("These scripts are of another version: run 'stembridge reaper install' again.")
    return document


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
