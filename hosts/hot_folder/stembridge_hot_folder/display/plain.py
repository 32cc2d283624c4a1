"""The watch in a pipe, a file or a simple terminal: one line for each decision."""

from __future__ import annotations

from pathlib import Path

from plugin_core.console.formatting import list_notes, show
from plugin_core.console.plain import PlainDisplay
from plugin_core.model import Job, JobState


class PlainWatch(PlainDisplay):
    """The core's plain display, with songs in place of jobs."""

    def tell_song(self, word: str, source: Path, text: str) -> None:
        """Write a decision about a song."""
        self.say(f"{show(source)}: {word}{f', {text}' if text else ''}")

    def _tell_settled(self, job: Job) -> None:
        """Write what only the job knows; the song tells its own end, once for all of its jobs."""
        for note in list_notes(job) if job.state is JobState.DONE else ():
            self.say(f"  note: {note}")
