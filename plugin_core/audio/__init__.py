"""Audio files: probing, decoding and encoding in blocks, and the formats stems are written in.

Names are imported when first used: ``formats`` stays free of numpy. ``probe`` lives in the module of its name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin_core.audio.formats import FORMAT_NAMES, AudioFormat, resolve_format
    from plugin_core.audio.info import AudioInfo
    from plugin_core.audio.reader import Reader, open_reader
    from plugin_core.audio.samples import Samples, to_floats, to_integers
    from plugin_core.audio.writer import Writer, open_writer

_HOME_OF = {
    "FORMAT_NAMES": "formats",
    "AudioFormat": "formats",
    "AudioInfo": "info",
    "Reader": "reader",
    "Samples": "samples",
    "Writer": "writer",
    "open_reader": "reader",
    "open_writer": "writer",
    "resolve_format": "formats",
    "to_floats": "samples",
    "to_integers": "samples",
}

__all__ = [
    "FORMAT_NAMES",
    "AudioFormat",
    "AudioInfo",
    "Reader",
    "Samples",
    "Writer",
    "open_reader",
    "open_writer",
    "resolve_format",
    "to_floats",
    "to_integers",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"plugin_core.audio.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'plugin_core.audio' has no attribute {name!r}")
