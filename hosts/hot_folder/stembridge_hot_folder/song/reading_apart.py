"""Reading a file in a process of its own: what ends that process leaves the watch alive, and is the file's doing.

A watch that is killed from outside says nothing of the files it was reading; only a reader that dies by itself does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

DEATHS: Final = 3
"""Readers that a file may end before it is held to be the cause."""

command: tuple[str, ...] = (sys.executable, "-P", "-m", "stembridge_hot_folder.song.reading_apart")
"""What reads; the path comes after it. With -P, since the folder the watch was started in may be a shared one."""


async def read_apart(path: bytes) -> bool:
    """Tell whether a process that reads this file, and nothing else, comes to its end.

    Raises:
        OSError: no process can be started.
    """
    reader = await asyncio.create_subprocess_exec(
        *command,
        os.fsdecode(path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        # Any exit code of its own is an end: errors are told when the watch reads the file.
        return 0 <= await reader.wait() < 128
    finally:
        if reader.returncode is None:
            reader.kill()
            await reader.wait()


def main(path: Path) -> int:
    """Read all that a watch reads of a song before it makes a job."""
    from plugin_core.errors import StembridgeError
    from plugin_core.operations.song import inspect
    from plugin_core.tags.provenance import is_own_work

    try:
        is_own_work(path)
        inspect(path)
    except (StembridgeError, OSError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
