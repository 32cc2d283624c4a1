"""The parts of songs that hosts cut out to have them separated by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from plugin_core.model import Source
from plugin_core.recordings.tables import Slice
from plugin_core.tasks import run_stoppable

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore

_LOSSY: Final = "lossy"
_SLACK: Final = 0.05
"""Seconds by which decoders of one lossy recording disagree about where it begins."""


class Slices:
    """What was cut out of which recording.

    Args:
        store: gives the job store.
    """

    def __init__(self, store: Callable[[], JobStore]) -> None:
        self._store = store

    async def recognise(self, song: Source) -> str:
        """Return the id of the recording that a song holds, whatever its tags and its format are; known from then on.

        Raises:
            SourceError: the file cannot be read, or is being written.
            TransientError: the disk or share does not answer.
        """
        book = self._store().recordings
        known = await run_stoppable(lambda stopper: book.enter(song.path, check=stopper.check))
        return known.recording

    async def note(self, cut: Source, recording: str, place: Slice) -> None:
        """Note that a file is a slice of a recording, before it is bought.

        Args:
            cut: the file, at the sample rate of the song it was cut out of.
            recording: what that song holds.
            place: its frames there.

        Raises:
            SourceError: the file cannot be read.
            TransientError: the disk or share does not answer.
        """
        self._store().recordings.note_slice(await self.recognise(cut), recording, cut.sample_rate, place)

    def covering(self, song: Source, recording: str, wanted: Slice) -> list[Slice]:
        """Return the slices noted of a song that hold what is wanted of it, the smallest first.

        Args:
            song: the file; its sample rate is that of all frames here.
            recording: what it holds.
            wanted: its frames.
        """
        slack = slack_of(song)
        known = self._store().recordings.slices_of(recording, song.sample_rate)
        return [one for one in known if one.covers(wanted, slack)]


def slack_of(song: Source) -> int:
    """Return by how many frames two decodes of a song may disagree about where it begins; 0 for exact samples."""
    return round(_SLACK * song.sample_rate) if song.encoding == _LOSSY else 0
