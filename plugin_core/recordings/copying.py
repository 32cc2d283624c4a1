"""The coded packets of a file's first audio track, taken out by ffmpeg without decoding them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from plugin_core.audio.ffmpeg import INSTALL, Which, quote_file
from plugin_core.audio.info import AudioInfo
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_PIECE: Final = 1 << 20


def copy_packets(path: Path, info: AudioInfo, check: Callable[[], None], which: Which) -> Iterator[bytes]:
    """Give the packets in pieces, all of them: what an edit list leaves out is there as well.

    Args:
        path: the file.
        info: what ``identify`` said of it.
        check: called for each piece; raise there to stop.
        which: finds ffmpeg.

    Raises:
        SourceError: there is no ffmpeg, or it fails.
    """
    program = which("ffmpeg")
    if program is None:
        raise SourceError(f"{show_path(path)} needs ffmpeg to be read", remedy=INSTALL)
    try:
        process = subprocess.Popen(
            _copy_command(program, path, info),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise SourceError(f"{program} does not start ({error.strerror})", remedy=INSTALL) from error
    with process:
        assert process.stdout is not None
        try:
            while piece := process.stdout.read(_PIECE):
                check()
                yield piece
            if process.wait() != 0:
                raise SourceError(f"{show_path(path)} cannot be copied from by ffmpeg")
        finally:
            process.kill()


def _copy_command(program: str, path: Path, info: AudioInfo) -> list[str]:
    # Other demuxers refuse the option.
    edits = ("-ignore_editlist", "1") if info.container == "M4A" else ()
    return [
        *(program, "-nostdin", "-hide_banner", "-v", "quiet", "-protocol_whitelist", "file", *edits),
        *("-i", quote_file(path), "-map", "0:a:0", "-vn", "-sn", "-dn", "-c", "copy", "-f", "data", "pipe:1"),
    ]
