"""Paths in commands that people copy: quoted for the shell they will paste them into."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from plugin_core.model import STEERING


def quote(path: bytes, *, platform: str = sys.platform) -> str:
    """Write a path as one word of a command line; what cannot be printed is spelt as bash, zsh and ksh read it."""
    text = os.fsdecode(path)
    if platform == "win32":
        return subprocess.list2cmdline([text])
    if not STEERING.search(text) and _is_encodable(text):
        return shlex.quote(text)
    return "$'" + "".join(_spell(character) for character in text) + "'"


def _spell(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if STEERING.search(character) or not _is_encodable(character):
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
    return character


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
