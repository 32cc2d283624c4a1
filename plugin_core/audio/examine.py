"""What a file's own structure says of its sound, held against its header before anything is decoded."""

from __future__ import annotations

import os
from pathlib import Path

from plugin_core.audio.envelope import find_start
from plugin_core.audio.flac import examine_flac
from plugin_core.audio.layout import Finding, Span
from plugin_core.audio.mpeg import examine_mpeg
from plugin_core.audio.ogg import examine_ogg
from plugin_core.audio.pcm import examine_pcm
from plugin_core.audio.sndfile import is_mpeg_audio
from plugin_core.audio.source_file import read_at


def examine(path: Path, descriptor: int) -> Finding | None:
    """Return how a file is to be read; None where its decoder knows best.

    Raises:
        SourceError: it ends before its sound is whole.
        TransientError: the disk or share does not answer.
    """
    start = find_start(path, descriptor)
    magic = read_at(path, descriptor, start, 4)
    if magic == b"fLaC":
        return examine_flac(path, descriptor, start)
    if magic == b"OggS":
        return examine_ogg(path, descriptor)
    if is_mpeg_audio(magic):
        return examine_mpeg(path, descriptor, Span(start, os.fstat(descriptor).st_size), is_file=True)
    return examine_pcm(path, descriptor) if start == 0 else None
