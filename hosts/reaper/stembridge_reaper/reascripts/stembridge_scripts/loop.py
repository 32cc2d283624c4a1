"""Running inside REAPER: every action starts here, nothing escapes to the host, and a tick looks at the workers."""

from __future__ import annotations

import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any

from . import api
from .documents import Refusal, keep_traceback, with_line
from .execution import Execution, Peaks, Stale
from .facts import clear_notes, find_items, project_facts, read_items, read_marked, read_tracks
from .runs import make_run, start_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .documents import Document
    from .runs import RunFolder


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
    # A small selection is read at once.
    main.RPR_defer("pass")
    _tick(watcher)


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
        path = keep_traceback()
        what = " ".join(("%s: %s" % (type(error).__name__, error)).split())
        api.box("stembridge stopped with an error of its own (%s); details are in %s." % (what, path))
    return None


def _main() -> Any:
    """Return the script's own module, where REAPER puts ``RPR_defer``."""
    return sys.modules["__main__"]


LOOK = 0.25
"""Seconds between two looks at a run; a tick looks at one run at most."""

BUDGET = 0.006
"""Seconds of a tick that reading may take."""

PATIENCE = 1.0
"""Seconds between two looks at which project is active, for finished stems that wait for theirs."""

LONG_PATIENCE = 10.0
"""Seconds between two searches of a project that was not theirs before, though it was changed since."""

SIGN = 1.0
"""Seconds between two signs that a run is followed."""

TRIES = 3
"""After so many insertions that the user's own work came between, the next is done in one tick."""

WAIT = True
"""What a chore yields when there is nothing to do before the next tick."""

_spread = random.random
"""From 0 to 1, so that many scripts, held up together by REAPER, do not stay in step."""

ANSWERS = {1: "go", 6: "go", 7: "no"}
"""Files that say what button was pressed; any other cancels."""


class Watcher:
    """Follows runs to their end, and does what takes several ticks.

    Args:
        configuration: what ``install`` wrote.
        clock: seconds.
    """

    def __init__(self, configuration: Document, clock: Callable[[], float] = time.monotonic) -> None:
        self.configuration = configuration
        self.runs: list[RunFolder] = []
        """Runs whose workers are at work."""
        self.finished: list[RunFolder] = []
        """Runs with stems to place, that wait for their project."""
        self.known: dict[str, str] = {}
        """Pointers of items by GUID; each use checks the GUID, for a pointer may be stale."""
        self._chores: list[Generator[Any, None, None]] = []
        self._leaving: list[RunFolder] = []
        self._peaks = Peaks()
        self._notes: dict[str, tuple[str, str]] = {}
        """What is still to be written, by GUID: run and words."""
        self._noted: dict[str, tuple[str, str]] = {}
        """What was meant to be written last."""
        self._placing: RunFolder | None = None
        self._hint = ""
        self._next = 0
        self._clock = clock
        self._run_at = clock() + LOOK * _spread()
        self._project_at = 0.0
        self._sign_at = 0.0
        self._searched: tuple[tuple[str, str], int, float] | None = None

    def add(self, chore: Generator[Any, None, None]) -> None:
        """Take on a chore: a generator that yields after each moment's work."""
        self._chores.append(chore)

    def follow(self, run: RunFolder) -> None:
        """Follow a run to its end."""
        self.runs.append(run)
        # An action that is started meanwhile, in this REAPER or another, must not follow it a second time.
        run.say("followed")

    def tick(self) -> bool:
        """Do what is due, within some milliseconds; return whether there will be more to do."""
        now = self._clock()
        self._work()
        if self.runs and now >= self._run_at:
            self._run_at = now + LOOK / len(self.runs) * (0.5 + _spread())
            self._next = (self._next + 1) % len(self.runs)
            self._look(self.runs[self._next])
        if not self._chores:
            self._write_note()
            if self.finished and now >= self._project_at:
                self._project_at = now + PATIENCE
                self.add(self._place_finished(now))
        has_peaks = self._peaks.step()
        self._leaving = [run for run in self._leaving if run.is_process_alive()]
        self._sign(now)
        self._show()
        return bool(self.runs or self.finished or has_peaks or self._notes or self._leaving or self._chores)

    def let_go(self) -> None:
        """Follow the runs no longer, so that another action may."""
        for run in [*self.runs, *self.finished]:
            run.take_back("followed")

    def ask_worker(self, request: Document, folder: str, prefix: str = "") -> Generator[Any, None, RunFolder]:
        """Ask a worker, and people what it asks; returns the run that holds the answer."""
        # To write what was read of a large project takes a tick of its own.
        yield WAIT
        run = make_run(folder, request, prefix)
        start_worker(self.configuration, run)
        self._leaving.append(run)
        while not run.is_final:
            yield WAIT
            if run.refresh() and run.state == "asking":
                self._ask(run)
            if run.is_dead():
                run.refresh(is_forced=True)
                if not run.is_final:
                    raise Refusal(
                        "The worker of stembridge ended unexpectedly: %s" % (run.last_words() or "try again.")
                    )
        return run

    def tell(self, run: RunFolder) -> None:
        """Tell what a run has to say at its end."""
        for line in run.news():
            api.tell(line)
        if run.status.get("message"):
            api.box(run.status["message"])

    def _work(self) -> None:
        """Go on with the first chore, for a moment."""
        end = time.perf_counter() + BUDGET
        while self._chores and time.perf_counter() < end and self._advance() is not WAIT:
            pass

    def _advance(self) -> Any:
        """Let the first chore do its next moment's work; one that fails is given up."""
        chore = self._chores.pop(0)
        try:
            found = next(chore)
        except StopIteration:
            return None
        self._chores.insert(0, chore)
        return found

    def _sign(self, now: float) -> None:
        if now >= self._sign_at:
            self._sign_at = now + SIGN
            for run in [*self.runs, *self.finished]:
                # Another script that follows the run takes the sign away with its last stem.
                if run.has("followed"):
                    os.utime(run.path("followed"))

    def _look(self, run: RunFolder) -> None:
        if run.refresh():
            self._plan_notes(run)
            for line in run.news():
                api.tell(line)
            if run.state == "asking":
                self._ask(run)
        if run.is_final:
            self._end(run)
        elif run.is_dead():
            # The last word may have come between the look at the file and the look at the process.
            run.refresh(is_forced=True)
            self._end(run)
        elif run.is_wanted and run not in self.finished:
            self._await_place(run)

    def _await_place(self, run: RunFolder) -> None:
        if run is self._placing:
            # It is looked at again when that is done.
            return
        self.finished.append(run)
        self._project_at = 0.0
        self._searched = None

    def _ask(self, run: RunFolder) -> None:
        if any(run.has(answer) for answer in ("go", "no", "cancel")):
            return
        if run.status.get("options"):
            run.say(*api.choose(run.status["message"], run.status["options"]))
        else:
            run.say(ANSWERS.get(api.box(run.status["message"], run.status["buttons"]), "cancel"))

    def _end(self, run: RunFolder) -> None:
        self.runs.remove(run)
        self._leaving.append(run)
        # What a dead worker finished comes with the rest, when the next one has done it.
        if run.is_final and run.is_wanted:
            if run not in self.finished:
                self._await_place(run)
        else:
            if run in self.finished:
                self.finished.remove(run)
            run.take_back("followed")
            self.add(self._clear_notes(run))
        if run.is_final:
            self.tell(run)
            return
        words = run.last_words()
        api.box(
            "The worker of stembridge ended unexpectedly%s. 'Insert finished stems' takes the work up again."
            % (": " + words if words else "")
        )

    def _place_finished(self, now: float) -> Generator[Any, None, None]:
        """Place the stems of a run whose project is active."""
        if not self._is_worth_searching(now):
            return
        for run in list(self.finished):
            if (yield from self._is_home(run)):
                # A run that goes on is looked at again when more of it is ready.
                self.finished.remove(run)
                self._notes = {guid: note for guid, note in self._notes.items() if note[0] != run.id}
                self._placing = run
                try:
                    yield from self._place(run)
                except Refusal as refusal:
                    run.placed = run.status["ready"]
                    api.box(str(refusal))
                self._placing = self._searched = None
                if run.is_wanted:
                    self._await_place(run)
                elif run.is_final:
                    run.take_back("followed")
                    yield from self._clear_notes(run)
                return

    def _is_worth_searching(self, now: float) -> bool:
        """Tell whether the active project may be one that stems wait for; to search a large one takes a moment."""
        place, count = api.active_project(), api.change_count()
        if self._searched is not None:
            known, counted, searched_at = self._searched
            if place == known and (count == counted or now < searched_at + LONG_PATIENCE):
                return False
        self._searched = (place, count, now)
        return True

    def _is_home(self, run: RunFolder) -> Generator[Any, None, bool]:
        """Return whether this is the project that a run was started in.

        Items and tracks keep their GUIDs when a project is saved under another name; of two open copies the one that
        has the old name counts.
        """
        there, here = run.request["project"]["path"], api.active_project()[1]
        if there and api.same_path(there, here):
            return True
        if there and any(api.same_path(there, path) for path in api.open_paths()):
            return False
        found = yield from find_items([item["guid"] for item in run.items], self.known)
        if found:
            self.known.update(found)
            return True
        tracks = {item["track"] for item in run.items}
        return any(api.guid("MediaTrack", track) in tracks for track in api.all_tracks())

    def _place(self, run: RunFolder) -> Generator[Any, None, None]:
        """Let a worker plan the insertion for what the project is like now, and execute the plan."""
        project = api.active_project()
        for attempt in range(100):
            count, facts = api.change_count(), (yield from self._read_project(run))
            answer = yield from self.ask_worker(facts, run.folder, "place-")
            if api.active_project() != project:
                return
            if api.change_count() != count and (yield from self._read_project(run)) != facts:
                continue
            for line in answer.news():
                api.tell(line)
            try:
                if os.path.exists(answer.path("plan.jsonl")):
                    yield from self._execute(answer.path("plan.jsonl"), is_at_once=attempt >= TRIES)
            except Stale:
                if api.active_project() != project:
                    return
                continue
            run.note_placed(answer)
            if answer.status["message"]:
                api.box(answer.status["message"])
            return

    def _execute(self, path: str, is_at_once: bool) -> Generator[Any, None, None]:
        execution = Execution(path, self.known)
        while execution.step(*([1e9] if is_at_once else [])):
            yield WAIT
        self._peaks.add(execution.made)

    def _read_project(self, run: RunFolder) -> Generator[Any, None, Document]:
        guids = [item["guid"] for item in run.items]
        found = yield from find_items(guids, self.known)
        stems, parts = yield from read_marked(run.items)
        items = yield from read_items([*found.values(), *parts], self.known)
        gone = {item["track"] for item in run.items if item["guid"] not in found}
        tracks = yield from read_tracks(gone | {item["track"] for item in items})
        for stem in stems:
            self.known[stem["guid"]] = stem.pop("pointer")
        return {
            "kind": "place",
            "run": run.folder,
            # What was selected when the action was started counts.
            "project": dict(project_facts(), selection=None),
            "items": items,
            "tracks": tracks,
            "standing": stems,
            "placed": run.done,
        }

    def _plan_notes(self, run: RunFolder) -> None:
        if run.is_final:
            return
        for entry in run.status.get("files", ()):
            note = (run.id, entry["note"])
            for number in entry["items"] if note[1] else ():
                guid = run.items[number]["guid"]
                if self._noted.get(guid) != note:
                    self._notes[guid] = self._noted[guid] = note

    def _write_note(self) -> None:
        if not self._notes:
            return
        guid = next(iter(self._notes))
        _, words = self._notes.pop(guid)
        pointer = self.known.get(guid, "")
        if pointer and api.guid("MediaItem", pointer) == guid:
            notes = api.text("MediaItem", pointer, "P_NOTES")
            wanted = with_line(notes, words)
            if wanted != notes:
                api.set_text("MediaItem", pointer, "P_NOTES", wanted)

    def _clear_notes(self, run: RunFolder) -> Generator[Any, None, None]:
        self._notes = {guid: note for guid, note in self._notes.items() if note[0] != run.id}
        yield from clear_notes(run.items, self.known, run.id, is_over=not run.done)

    def _show(self) -> None:
        words = ""
        if len(self.runs) == 1:
            words = str(self.runs[0].status.get("hint") or "stembridge: starting")
        elif self.runs:
            words = "stembridge: %d runs at work" % len(self.runs)
        elif self.finished:
            words = "stembridge: stems wait for their project to be active"
        if words != self._hint:
            self._hint = words
            api.hint(words)
