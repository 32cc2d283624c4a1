"""Running inside REAPER: every action starts here, nothing escapes to the host, and a tick looks at the workers."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
import traceback
from typing import TYPE_CHECKING, Any

from . import api
from .insertion import Insertion, Peaks
from .items import ProjectIndex
from .runs import FINAL
from .words import (
    Refusal,
    describe_failures,
    describe_file,
    describe_labels,
    describe_run,
    plural,
    with_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .runs import RunFolder


LOG = "stembridge-reaper-error.txt"


def run_action(action: Callable[[], Watcher | None]) -> None:
    """Do an action, and follow what it started in deferred ticks."""
    watcher = _guarded(action)
    if watcher is None:
        # A script that deferred once leaves no undo point of its own.
        _main().RPR_defer("pass")
        return
    main = _main()
    main.stembridge_watcher = watcher
    main.stembridge_tick = lambda: _tick(watcher)
    main.RPR_defer("stembridge_tick()")


def _tick(watcher: Watcher) -> None:
    goes_on = _guarded(watcher.tick)
    if goes_on:
        _main().RPR_defer("stembridge_tick()")
    elif goes_on is None:
        # After an error of its own; 'Insert finished stems' may follow its runs again.
        _guarded(watcher.let_go)


def _guarded(function: Callable[[], Any]) -> Any:
    """Call a function; what goes wrong is said in one sentence, and None comes back."""
    try:
        return function()
    except Refusal as refusal:
        api.box(str(refusal))
    except Exception as error:  # noqa: BLE001 - REAPER must never see an exception
        path = _keep_traceback()
        what = " ".join(("%s: %s" % (type(error).__name__, error)).split())
        api.box("stembridge stopped with an error of its own (%s); details are in %s." % (what, path))
    return None


def _keep_traceback() -> str:
    path = os.path.join(tempfile.gettempdir(), LOG)
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as opened:
            opened.write(traceback.format_exc() + "\n")
    except OSError:
        return "no file, since %s cannot be written" % path
    return path


def _main() -> Any:
    """Return the script's own module, where REAPER puts ``RPR_defer``."""
    return sys.modules["__main__"]


LOOK = 0.25
"""Seconds between two looks at a run; a tick looks at one run at most."""

PATIENCE = 1.0
"""Seconds between two looks at which project is active, for finished stems that wait for theirs."""

LONG_PATIENCE = 10.0
"""Seconds between two searches of a project that was not theirs before, though it was changed since."""


class Watcher:
    """Follows runs to their end."""

    def __init__(self, runs: list[RunFolder], clock: Callable[[], float] = time.monotonic) -> None:
        self.runs = list(runs)
        """Runs whose workers are at work."""
        self.finished: list[RunFolder] = []
        """Runs that wait for their project."""
        self._leaving: list[RunFolder] = []
        self._peaks = Peaks()
        self._pointers: dict[str, str] = {}
        self._notes: dict[str, tuple[str, str]] = {}
        """What is still to be written, by GUID: run and words."""
        self._noted: dict[str, tuple[str, str]] = {}
        """What was meant to be written last."""
        self._hint = ""
        self._next = 0
        self._clock = clock
        self._run_at = clock() + LOOK * _spread()
        self._project_at = 0.0
        self._searched: tuple[tuple[str, str], int, float] | None = None
        self._find_items()
        for run in self.runs:
            # An action that is started meanwhile must not follow it a second time.
            api.remember(run.id, "followed", False)

    def tick(self) -> bool:
        """Do what is due, within two milliseconds or so; return whether there will be more to do."""
        now = self._clock()
        if self.runs and now >= self._run_at:
            self._run_at = now + LOOK / len(self.runs) * (0.5 + _spread())
            self._next = (self._next + 1) % len(self.runs)
            self._look(self.runs[self._next])
            self._show()
        self._write_note()
        if self.finished and now >= self._project_at:
            self._project_at = now + PATIENCE
            self._insert_finished(now)
            self._show()
        has_peaks = self._peaks.step()
        self._leaving = [run for run in self._leaving if run.is_process_alive()]
        return bool(self.runs or self.finished or has_peaks or self._notes or self._leaving)

    def let_go(self) -> None:
        """Follow the runs no longer, so that another action may."""
        for run in [*self.runs, *self.finished]:
            api.remember(run.id, "", False)

    def _look(self, run: RunFolder) -> None:
        if run.refresh():
            self._plan_notes(run)
            if run.state == "asking":
                self._ask(run)
        if run.state in FINAL:
            self._end(run)
        elif run.is_dead():
            # The last word may have come between the look at the file and the look at the process.
            run.refresh(is_forced=True)
            self._end(run)

    def _ask(self, run: RunFolder) -> None:
        if run.has("go") or run.has("cancel"):
            return
        run.say("go" if api.box(run.status["message"], 1) == 1 else "cancel")

    def _end(self, run: RunFolder) -> None:
        self.runs.remove(run)
        self._leaving.append(run)
        # What a dead worker finished comes with the rest, when the next one has done it.
        if run.is_final and run.results() and not run.has("dismissed") and not run.has("cancel"):
            self.finished.append(run)
            self._project_at = 0.0
            self._searched = None
        else:
            self._clear_notes(run)
        self._tell_end(run)

    def _tell_end(self, run: RunFolder) -> None:
        if run.state not in FINAL:
            words = run.last_words()
            api.box(
                "The worker of stembridge ended unexpectedly%s. 'Insert finished stems' takes the work up again."
                % (": " + words if words else "")
            )
            return
        failures = describe_failures(run)
        if failures:
            api.box(failures)
        elif run.state == "done" and run.request["kind"] == "separate" and not run.results():
            api.box("The stems are finished, but they are not where they were put: see 'stembridge jobs list'.")
        for line in describe_labels(run):
            api.tell(line)

    def _insert_finished(self, now: float) -> None:
        if not self._is_worth_searching(now):
            return
        index = ProjectIndex(self._pointers)
        for run in [run for run in self.finished if index.is_home_of(run)]:
            self.finished.remove(run)
            self._forget_notes(run)
            if not index.has_tracks_of(run):
                self._insert(run, index)
                index = ProjectIndex(self._pointers)

    def _is_worth_searching(self, now: float) -> bool:
        """Tell whether the active project may be one that stems wait for; to search a large one takes a moment."""
        place, count = api.active_project(), api.change_count()
        if self._searched is not None:
            known, counted, searched_at = self._searched
            if place == known and (count == counted or now < searched_at + LONG_PATIENCE):
                return False
        self._searched = (place, count, now)
        return True

    def _insert(self, run: RunFolder, index: ProjectIndex) -> None:
        insertion = Insertion(run, index)
        try:
            insertion.insert()
        except Refusal as refusal:
            api.box(str(refusal))
        self._peaks.add(insertion.made)

    def _find_items(self) -> None:
        """Remember where the items are; each use checks the GUID, for a pointer may be stale."""
        wanted = {item["guid"] for run in self.runs for item in run.items}
        if wanted:
            found = ((api.guid("MediaItem", pointer), pointer) for pointer in api.all_items())
            self._pointers = {guid: pointer for guid, pointer in found if guid in wanted}

    def _plan_notes(self, run: RunFolder) -> None:
        if not run.status.get("settings", {}).get("show_in_items", True) or run.is_final:
            return
        kind = str(run.request["kind"])
        words = {entry["key"]: describe_file(entry, kind) for entry in run.status.get("files", ())}
        for item in run.items:
            note = (run.id, words.get(item["file"], ""))
            if note[1] and self._noted.get(item["guid"]) != note:
                self._notes[item["guid"]] = self._noted[item["guid"]] = note

    def _write_note(self) -> None:
        if not self._notes:
            return
        guid = next(iter(self._notes))
        _, words = self._notes.pop(guid)
        pointer = self._pointers.get(guid, "")
        if pointer and api.guid("MediaItem", pointer) == guid:
            notes = api.text("MediaItem", pointer, "P_NOTES")
            wanted = with_line(notes, words)
            if wanted != notes:
                api.set_text("MediaItem", pointer, "P_NOTES", wanted)

    def _forget_notes(self, run: RunFolder) -> None:
        self._notes = {guid: note for guid, note in self._notes.items() if note[0] != run.id}

    def _clear_notes(self, run: RunFolder) -> None:
        self._forget_notes(run)
        ProjectIndex(self._pointers).clear_notes(run)

    def _show(self) -> None:
        words = ""
        if len(self.runs) == 1:
            words = "stembridge: " + describe_run(self.runs[0])
        elif self.runs:
            words = "stembridge: %s at work" % plural(len(self.runs), "run")
        elif self.finished:
            words = "stembridge: stems wait for their project to be active"
        if words != self._hint:
            self._hint = words
            api.hint(words)


def _spread() -> float:
    """Return something from 0 to 1, so that many scripts, held up together by REAPER, do not stay in step."""
    return random.random()  # noqa: S311 - nothing secret
