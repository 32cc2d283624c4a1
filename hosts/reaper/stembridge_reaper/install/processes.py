"""Whether REAPER runs: it rewrites its settings files when it ends, and would undo what is written meanwhile."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

_NAMES = re.compile(r"^reaper(32|64)?(\.exe)?$", re.IGNORECASE)


def is_reaper_running(list_names: Callable[[], Iterable[str]] | None = None) -> bool:
    """Tell whether a process of this machine is REAPER."""
    return any(_NAMES.match(name.strip()) for name in (list_names or process_names)())


def process_names() -> list[str]:
    """Return the names of the running processes; none where the system does not tell."""
    if sys.platform == "linux":
        return [_name_of(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    command = ["tasklist", "/FO", "CSV", "/NH"] if sys.platform == "win32" else ["ps", "-axco", "comm"]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    lines = done.stdout.decode(errors="replace").splitlines()
    return [line.split(",")[0].strip('"') for line in lines]


def _name_of(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        # It ended meanwhile.
        return ""
