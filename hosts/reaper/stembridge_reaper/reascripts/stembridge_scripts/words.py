"""What a person reads: refusals, states, counts and closing messages, each in one sentence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .documents import Document
    from .runs import RunFolder


class Refusal(Exception):
    """The action cannot go on; the text is one sentence for the message box."""


class Skip(Exception):
    """One item cannot be used; the text is the reason, as counted in the closing message."""


_VERBS = {
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

MOST = 10
"""Lines of a message box; a box that is higher than the screen has no button."""


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return "%d %s%s" % (count, noun, "" if count == 1 else "s")


def describe_file(entry: Document, kind: str = "separate") -> str:
    """Say how far a file is, in steps that do not change too often to be shown in an item."""
    verbs = _VERBS if kind == "separate" else dict(_VERBS, running="labelling", publishing="writing tags")
    words = verbs.get(entry["state"], str(entry["state"]))
    progress = entry.get("progress")
    if entry["state"] in ("running", "fetching") and progress:
        words += " %d %%" % (int(progress * 20) * 5)
    return words


def describe_run(run: RunFolder) -> str:
    """Say how far a run is."""
    files = run.status.get("files", [])
    if run.state == "starting" or not files:
        return "starting"
    if run.state == "asking":
        return "waiting for your word"
    done = sum(entry["state"] == "done" for entry in files)
    share = sum(1.0 if entry["state"] == "done" else entry.get("progress") or 0.0 for entry in files) / len(files)
    return "%s of %s done, %d %%" % (done, plural(len(files), "file"), int(share * 100))


def describe_skipped(skipped: Mapping[str, int]) -> str:
    """Say how many items were passed over and why; empty when none was."""
    if not skipped:
        return ""
    reasons = ", ".join("%d %s" % (count, reason) for reason, count in sorted(skipped.items()))
    return "%s passed over: %s" % (plural(sum(skipped.values()), "item"), reasons)


def describe_failures(run: RunFolder) -> str:
    """Say what failed, file by file; empty when nothing did."""
    failed = [entry for entry in run.status.get("files", ()) if entry["state"] in ("failed", "unconfirmed")]
    lines = [entry.get("message") or "failed without a reason" for entry in failed]
    if not lines and run.state == "failed":
        lines = [run.status.get("message") or "The worker failed without a reason."]
    lines = list(dict.fromkeys(lines))
    rest = len(lines) - MOST
    return "\n".join(lines[:MOST] + (["... and %d more: see 'stembridge jobs list'." % rest] if rest > 0 else []))


def describe_labels(run: RunFolder) -> list[str]:
    """Return one line for each file that was labelled."""
    is_asked = run.request["kind"] == "label"
    lines = []
    for entry in run.status.get("files", ()):
        found = [label for part in entry.get("parts", ()) for label in part.get("labels", ())]
        words = ", ".join("%s: %s" % (label["dimension"], label["value"]) for label in found) or "nothing new"
        if entry["state"] == "done" and (found or is_asked):
            lines.append("%s: %s" % (entry["path"], words))
    return lines


MARK = "[stembridge] "

_LINE = re.compile(r"(?:^|\r?\n)\[stembridge\] [^\r\n]*")


def with_line(notes: str, words: str) -> str:
    """Return notes with our line at the end, and no other line of ours."""
    notes = without_line(notes)
    return (notes + "\n" if notes else "") + MARK + words


def without_line(notes: str) -> str:
    """Return notes without our line; equal to what they were before it."""
    return _LINE.sub("", notes)
