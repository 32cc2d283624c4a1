"""What ``stembridge reaper install`` wrote for the scripts: interpreter, folders and presets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import api
from .documents import read_document
from .failing import Refusal

if TYPE_CHECKING:
    from .shapes import Document

VERSION = 1


def configuration_path(resource_path: str) -> str:
    """Return where the installer puts the configuration below REAPER's resource path."""
    return os.path.join(resource_path, "Scripts", "stembridge", "stembridge.json")


def read_configuration() -> Document:
    """Return the configuration.

    Raises Refusal when it is missing, or of another version.
    """
    document = read_document(configuration_path(api.resource_path()))
    if document is None:
        raise Refusal("stembridge is not set up in this REAPER: run 'stembridge reaper install' once.")
    if document.get("version") != VERSION:
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
