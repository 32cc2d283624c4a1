"""JSON documents that other processes read at any moment: replaced in one step, never half written."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .shapes import Document


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
