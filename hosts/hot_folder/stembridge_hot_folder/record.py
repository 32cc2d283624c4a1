"""What is kept and told of a song: its row, its line in the log, its count, and the note beside it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import msgspec

from plugin_core.files.names import HIDDEN_PREFIX
from plugin_core.files.placement import rename_exclusive
from plugin_core.model import STEERING, disarm
from stembridge_hot_folder.files import open_regular, path_of, shown
from stembridge_hot_folder.ledger import Row, SongState
from stembridge_hot_folder.queue import Gate, Obstacle, WaitingSong
from stembridge_hot_folder.recipes import Recipe
from stembridge_hot_folder.tools import Tools


class SongRecord:
    """The record of one version of one song.

    Args:
        song: as it was taken.
        recipe: what is done to it.
        tools: shared by all songs.
    """

    def __init__(self, song: WaitingSong, recipe: Recipe, tools: Tools) -> None:
        self.song = song
        self.row = Row(
            path=song.path, root=song.folder.path, identity=song.identity, state=SongState.WORKING, recipe=recipe.key
        )
        self.is_duplicate = False
        self.note: bytes | None = None
        """What was written beside a song that failed."""
        self._recipe = recipe
        self._tools = tools

    def put(self, state: SongState, *, is_end: bool = False, **fields: object) -> None:
        """Write the row; an end is counted in the history."""
        self.row = self._tools.ledger.put(msgspec.structs.replace(self.row, state=state, **fields), is_end=is_end)

    def tell(self, word: str, text: str = "", *, is_trouble: bool = False) -> None:
        self._tools.reporter.tell(word, self.song.path, text, is_trouble=is_trouble)

    # Ends

    def end_done(self, told: str, **fields: object) -> None:
        self.put(SongState.DONE, is_end=True, reason="", **fields)
        self._tools.queue.succeed(self.song.path)
        self._tools.counts.done += 1
        self.tell("done", told)

    def end_skipped(self, reason: str, state: SongState = SongState.SKIPPED, **fields: object) -> None:
        """End without work."""
        self.put(
            state, is_end=state is SongState.SKIPPED, reason=reason if state is SongState.SKIPPED else "", **fields
        )
        self._tools.queue.succeed(self.song.path)
        self._tools.counts.skipped += 1
        remove_error(self.song.path)
        self.tell("skipped", reason)

    def end_duplicate(self, reason: str, state: SongState = SongState.SKIPPED) -> None:
        """End without work, since the song was done before and lies elsewhere."""
        self.is_duplicate = True
        self.end_skipped(reason, state)

    def end_unconfirmed(self, reason: str) -> None:
        """End with a job of which nobody knows whether it was paid."""
        self.put(SongState.UNCONFIRMED, is_end=True, reason=reason)
        self._tools.counts.unconfirmed += 1
        self.tell("unconfirmed", reason, is_trouble=True)
        write_error(
            self.song.path,
            reason,
            "see at the service whether it has the song; the command below looks there, and pays again with --force",
        )

    def end_failed(self, reason: str, remedy: str) -> None:
        """End as failed, with the reason beside the song."""
        text = f"{reason}; {remedy}" if remedy else reason
        self.put(SongState.FAILED, is_end=True, reason=text)
        self._tools.queue.succeed(self.song.path)
        self._tools.counts.failed += 1
        self.tell("failed", text, is_trouble=True)
        self.note = write_error(self.song.path, reason, remedy, back_into=self.song.folder.failed and self.row.root)

    def drop(self, told: str) -> None:
        """Forget a version that is no longer there; another one is found by the next look."""
        self._tools.ledger.forget(self.song.path)
        self._tools.queue.forget(self.song.path)
        remove_error(self.song.path)
        self.tell("dropped", told)

    # Ends that are none

    def postpone(self, reason: str) -> None:
        """Try this song again after a while, longer each time."""
        tools = self._tools
        is_first = tools.queue.tries(self.song.path) == 0
        if is_first:
            write_error(self.song.path, reason, "nothing: it is tried again by itself, less and less often")
        self._keep_waiting(reason)
        seconds = tools.queue.postpone(self.song, tools.clock(), reason)
        self.tell("waits", f"{reason}; next try in {round(seconds)} s", is_trouble=is_first)

    def wait(self, trouble: Obstacle) -> None:
        """Try again once a disk takes results, this song or all that trouble is shared with."""
        if trouble.gate is None:
            self.postpone(trouble.reason)
        else:
            self.pause(trouble.gate, trouble.reason)

    def pause(self, gate: Gate, reason: str, *, is_refusal: bool = False) -> None:
        """Let every song behind a gate wait: the next one would fare no better."""
        tools, folder = self._tools, self.song.folder
        if not tools.queue.pauses.is_paused(gate):
            whose: dict[Gate, str] = {folder.path: "waits", folder.done: "what is done waits to be moved"}
            what = whose.get(gate) or f"{self._shown_recipe} waits"
            tools.reporter.warn(folder.path, f"{what}, {reason}; it goes on by itself")
        self._keep_waiting(reason)
        tools.queue.pauses.pause(gate, self.song.path, tools.clock(), reason, is_refusal=is_refusal)
        if gate in (folder.path, folder.done, self._recipe.key):
            tools.queue.put_last(self.song)
        else:
            # Begun under an earlier recipe, whose gate it no longer stands at.
            tools.queue.postpone(self.song, tools.clock(), reason)
        tools.reporter.tell("waits", self.song.path, reason, is_told=True)

    def _keep_waiting(self, reason: str) -> None:
        """Let ``stembridge watch status`` say why a song without jobs waits; the user's word is not forgotten."""
        if not self.row.jobs and self.row.state is not SongState.MOVING:
            self.put(SongState.RETRY if self.row.state is SongState.RETRY else SongState.WAITING, reason=reason)

    def find_room(self) -> None:
        """Let the songs of the folder go on, if they wait for its disk and this one was to find out."""
        self._resume(self.song.folder.path, "there is room again")

    def find_place(self) -> None:
        """Let what is done be moved, if it waits for the folder of finished songs and this one was to find out."""
        self._resume(self.song.folder.done, "what is done can be moved again")

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


ENDING: Final = b".error.txt"
FIRST_LINE: Final = "stembridge could not finish this song."
_LONGEST_NAME: Final = 255
_NUMBERS: Final = range(1, 100)
_MOST: Final = 64 * 1024
"""Bytes; no note of ours is longer."""

_HAPPENED: Final = "What happened: "
_TO_DO: Final = "What to do:    "
_NO_REMEDY: Final = "take the song away, or put one that works in its place"
_PUT_BACK: Final = "To try it again, put it back into "
_FACTS: Final = re.compile(
    f"{re.escape(FIRST_LINE)}\n\n{re.escape(_HAPPENED)}(?P<reason>.*)\n{re.escape(_TO_DO)}(?P<remedy>.*)\n"
)


def write_error(song: bytes, reason: str, remedy: str, *, back_into: bytes = b"") -> bytes | None:
    """Write or renew the error file of a song; None where it cannot be written. Never over a file of the user's.

    What is ours is told by its content: a note that somebody changed is that somebody's.

    Args:
        song: its path.
        reason: what happened.
        remedy: what to do.
        back_into: the hot folder of a song that is moved out of it next, with its note.
    """
    where = shown(back_into) if back_into else ""
    text = _compose(song, disarm(reason), disarm(remedy), where)
    for path in _candidates(song):
        if os.path.lexists(path) and not is_ours(path, song):
            continue
        try:
            _place(text, path)
        except FileExistsError:
            # Somebody took the name in this moment.
            continue
        except OSError:
            # A full or read-only disk; the reason stands in the log and in ``stembridge watch status``.
            return None
        return path
    return None


def remove_error(song: bytes) -> None:
    """Remove the error file of a song, if it is ours and nobody changed it."""
    for number, path in enumerate(_candidates(song)):
        if not os.path.lexists(path):
            if number:
                return
        elif is_ours(path, song):
            # What cannot be removed is only a note that is out of date.
            with contextlib.suppress(OSError):
                os.unlink(path)
            return


def is_ours(path: bytes, song: bytes) -> bool:
    """Tell whether a file is just what ``write_error`` writes for a song."""
    try:
        with os.fdopen(open_regular(path), encoding="utf-8", newline="") as opened:
            text = opened.read(_MOST)
    except (OSError, UnicodeDecodeError):
        return False
    facts = _FACTS.match(text)
    if facts is None:
        return False
    where = text[facts.end() + 1 :].removeprefix(_PUT_BACK).removesuffix("\n")
    return text in (_compose(song, facts["reason"], facts["remedy"], back_into) for back_into in ("", where))


def _place(text: str, path: bytes) -> None:
    """Write a note whole, or not at all; never through a link, and over nothing but a note of ours.

    Raises:
        FileExistsError: something has the name by now.
        OSError: it cannot be written.
    """
    is_renewed = os.path.lexists(path)
    temporary = os.path.join(os.path.dirname(path), f"{HIDDEN_PREFIX}error-{os.getpid()}.tmp".encode())
    # Left by a crash of a process of this number, or put there by somebody to be written through.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
        if is_renewed:
            os.replace(temporary, path)
        else:
            rename_exclusive(path_of(temporary), path_of(path))
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _compose(song: bytes, reason: str, remedy: str, back_into: str) -> str:
    facts = [FIRST_LINE, "", f"{_HAPPENED}{reason}", f"{_TO_DO}{remedy or _NO_REMEDY}", ""]
    if back_into:
        return "\n".join([*facts, f"{_PUT_BACK}{back_into}", ""])
    lines = [
        *facts,
        "A new version of the song is tried by itself. To try this one again:",
        f"    stembridge watch retry {quote(song)}",
        "This file goes away by itself once the song is done or gone.",
        "",
    ]
    return "\n".join(lines)


def _candidates(song: bytes) -> Iterator[bytes]:
    folder, name = os.path.split(song)
    for number in _NUMBERS:
        ending = ENDING if number == 1 else b".error (%d).txt" % number
        yield os.path.join(folder, _shorten(name, _LONGEST_NAME - len(ending)) + ending)


def _shorten(name: bytes, most: int) -> bytes:
    """Cut a name to so many bytes, not in the middle of a character."""
    if len(name) <= most:
        return name
    return name[:most].decode("utf-8", "ignore").encode() or name[:most]


def quote(path: bytes, *, platform: str = sys.platform) -> str:
    """Write a path as one word of a command line; what cannot be printed is spelt as bash, zsh and ksh read it."""
    text = os.fsdecode(path)
    if platform == "win32":
        return subprocess.list2cmdline([text])
    if not STEERING.search(text) and _is_encodable(text):
        return shlex.quote(text)
    return "$'" + "".join(_spell(character) for character in text) + "'"


def _spell(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if STEERING.search(character) or not _is_encodable(character):
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
    return character


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
