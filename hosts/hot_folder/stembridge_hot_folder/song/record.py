"""What is kept and told of a song at work: its row, its line in the log, its count and its error file."""

from __future__ import annotations

import msgspec

from stembridge_hot_folder.folder.recipes import Recipe
from stembridge_hot_folder.ledger import Row, SongState
from stembridge_hot_folder.pausing import Gate
from stembridge_hot_folder.queueing import Waiting
from stembridge_hot_folder.song import error_file
from stembridge_hot_folder.song.checking import Trouble
from stembridge_hot_folder.song.tools import Tools


class Record:
    """The record of one version of one song.

    Args:
        song: as it was taken.
        recipe: what is done to it.
        tools: shared by all songs.
    """

    def __init__(self, song: Waiting, recipe: Recipe, tools: Tools) -> None:
        self.song = song
        self.row = Row(
            path=song.path, root=song.folder.path, identity=song.identity, state=SongState.WORKING, recipe=recipe.key
        )
        self._recipe = recipe
        self._tools = tools

    def put(self, state: SongState, **fields: object) -> None:
        """Write the row."""
        self.row = self._tools.ledger.put(msgspec.structs.replace(self.row, state=state, **fields))

    def tell(self, word: str, text: str = "", *, is_trouble: bool = False) -> None:
        """Tell a decision."""
        self._tools.reporter.tell(word, self.song.path, text, is_trouble=is_trouble)

    # Ends

    def end_done(self, told: str, **fields: object) -> None:
        """End as done."""
        self.put(SongState.DONE, reason="", **fields)
        self._tools.queue.succeed(self.song.path)
        self._tools.counts.done += 1
        self.tell("done", told)

    def end_skipped(self, reason: str, state: SongState = SongState.SKIPPED, **fields: object) -> None:
        """End without work."""
        self.put(state, reason=reason if state is SongState.SKIPPED else "", **fields)
        self._tools.queue.succeed(self.song.path)
        self._tools.counts.skipped += 1
        error_file.remove_error(self.song.path)
        self.tell("skipped", reason)

    def end_unconfirmed(self, reason: str) -> None:
        """End with a job of which nobody knows whether it was paid."""
        self.put(SongState.UNCONFIRMED, reason=reason)
        self._tools.counts.unconfirmed += 1
        self.tell("unconfirmed", reason, is_trouble=True)
        error_file.write_error(
            self.song.path,
            reason,
            "see at the service whether it has the song; the command below looks there, and pays again with --force",
        )

    def end_failed(self, reason: str, remedy: str) -> None:
        """End as failed, with the reason beside the song."""
        text = f"{reason}; {remedy}" if remedy else reason
        self.put(SongState.FAILED, reason=text)
        self._tools.queue.succeed(self.song.path)
        self._tools.counts.failed += 1
        self.tell("failed", text, is_trouble=True)
        error_file.write_error(self.song.path, reason, remedy)

    def drop(self) -> None:
        """Forget a version that is no longer there; another one is found by the next look."""
        self._tools.ledger.forget(self.song.path)
        self._tools.queue.forget(self.song.path)
        error_file.remove_error(self.song.path)
        self.tell("dropped", "it is gone or was replaced")

    # Ends that are none

    def postpone(self, reason: str) -> None:
        """Try this song again after a while, longer each time."""
        tools = self._tools
        is_first = tools.queue.tries(self.song.path) == 0
        if is_first:
            error_file.write_error(self.song.path, reason, "nothing: it is tried again by itself, less and less often")
        self._keep_waiting(reason)
        seconds = tools.queue.postpone(self.song, tools.clock())
        self.tell("waits", f"{reason}; next try in {round(seconds)} s", is_trouble=is_first)

    def wait(self, trouble: Trouble) -> None:
        """Try again once a disk takes results, this song or all that trouble is shared with."""
        if trouble.gate is None:
            self.postpone(trouble.reason)
        else:
            self.pause(trouble.gate, trouble.reason)

    def pause(self, gate: Gate, reason: str, *, is_refusal: bool = False) -> None:
        """Let every song behind a gate wait: the next one would fare no better."""
        tools = self._tools
        if not tools.queue.pauses.is_paused(gate):
            what = "" if gate == self.song.folder.path else f"{self._shown_recipe} "
            tools.reporter.warn(self.song.folder.path, f"{what}waits, {reason}; it goes on by itself")
        self._keep_waiting(reason)
        tools.queue.pauses.pause(gate, self.song.path, tools.clock(), is_refusal=is_refusal)
        if gate in (self.song.folder.path, self._recipe.key):
            tools.queue.put_last(self.song)
        else:
            # Begun under an earlier recipe, whose gate it no longer stands at.
            tools.queue.postpone(self.song, tools.clock())
        self.tell("waits", reason)

    def _keep_waiting(self, reason: str) -> None:
        """Let ``stembridge watch status`` say why a song without jobs waits; the user's word is not forgotten."""
        if not self.row.jobs and self.row.state is not SongState.MOVING:
            self.put(SongState.RETRY if self.row.state is SongState.RETRY else SongState.WAITING, reason=reason)

    def find_room(self) -> None:
        """Let the songs of the folder go on, if they wait for its disk and this one was to find out."""
        self._resume(self.song.folder.path, "there is room again")

    def accept(self) -> None:
        """Let the songs of the recipe go on, if they wait for its account and this one was to find out."""
        self._resume(self.row.recipe, f"{self._shown_recipe} is accepted again")

    def _resume(self, gate: Gate, why: str) -> None:
        if self._tools.queue.pauses.resume(gate, self.song.path):
            self._tools.queue.open()
            self._tools.reporter.say(f"{self.song.folder.shown}: {why}, going on")

    @property
    def _shown_recipe(self) -> str:
        return f"preset {self._recipe.preset!r}" if self._recipe.preset else "the usual separation"
