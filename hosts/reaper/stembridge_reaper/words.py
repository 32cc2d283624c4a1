"""What people read in REAPER: states, counts and closing messages, each in one sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from plugin_core.console.phrases import plural, short_span
from stembridge_reaper.protocol import FileStatus, Status

_VERBS: Final = {
    "waiting": "waiting",
    "queued": "waiting",
    "submitting": "sending",
    "running": "separating",
    "fetching": "fetching",
    "publishing": "placing stems",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "unconfirmed": "unconfirmed",
}

MOST: Final = 10
"""Lines of a message box; a box that is higher than the screen has no button."""

_REMEDIES: Final = (
    (
        r"(choose another place|name an existing one) with --to FOLDER",
        'say stems_in = "project" below [reaper] in config.toml',
    ),
    (r"separate it again with --as-is, which takes them as they came", "use a preset that says as_is = true"),
    (r"retry the job\b|`stembridge jobs retry [^`]*`", "start the action again"),
)


def in_reapers_words(text: str) -> str:
    """Return a message with remedies that somebody in REAPER can follow: nobody types options there."""
    for theirs, ours in _REMEDIES:
        text = re.sub(theirs, ours, text)
    return text


def describe_file(file: FileStatus, kind: str) -> str:
    """Say how far a file is, in steps that do not change too often to be shown in an item."""
    verbs = _VERBS if kind == "separate" else _VERBS | {"running": "labelling", "publishing": "writing tags"}
    words = verbs[file.state]
    if file.state in ("running", "fetching") and file.progress:
        words += f" {int(file.progress * 20) * 5} %"
    return words


def share_of(status: Status) -> float:
    """Return how much of a run is done, 0 to 1."""
    shares = [1.0 if file.state == "done" else file.progress for file in status.files]
    return sum(shares) / len(shares) if shares else 0.0


def describe_run(status: Status) -> str:
    """Say how far a run is."""
    if status.state == "starting" or not status.files:
        return "starting"
    if status.state == "asking":
        return "waiting for your word"
    done = sum(file.state == "done" for file in status.files)
    left = "" if status.left is None else f", about {short_span(status.left)} left"
    return f"{done} of {plural(len(status.files), 'file')} done, {int(share_of(status) * 100)} %{left}"


def describe_skipped(skipped: Mapping[str, int]) -> str:
    """Say how many items were passed over and why; empty when none was."""
    if not skipped:
        return ""
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
    return f"{plural(sum(skipped.values()), 'item')} passed over: {reasons}"


def describe_failures(status: Status) -> str:
    """Say what failed, file by file; empty when nothing did."""
    failed = [file for file in status.files if file.state in ("failed", "unconfirmed")]
    lines = list(dict.fromkeys(file.message or "failed without a reason" for file in failed))
    rest = len(lines) - MOST
    return "\n".join(lines[:MOST] + ([f"... and {rest} more: see 'stembridge jobs list'."] if rest > 0 else []))


def describe_labels(status: Status, kind: str) -> list[str]:
    """Return one line for each file that was labelled."""
    lines = []
    for file in status.files:
        found = [label for part in file.parts for label in part.labels]
        words = ", ".join(f"{label.dimension}: {label.value}" for label in found) or "nothing new"
        if file.state == "done" and (found or kind == "label"):
            lines.append(f"{file.path}: {words}")
    return lines
