"""The loop: about thirty times a second a short look at the workers, and the insertion when one is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from . import api
from .failing import Refusal
from .inserting import Insertion
from .notes import with_line
from .peaks import Peaks
from .project import ProjectIndex, clear_notes
from .runs import FINAL
from .words import describe_failures, describe_file, describe_labels, describe_run, plural

if TYPE_CHECKING:
    from .runs import Run

LOOKS = 8
"""Runs looked at in one tick."""

NOTES = 2
"""Items whose notes are written in one tick."""

PATIENCE = 1.0
"""Seconds between two looks for the project of finished stems."""


class Watcher:
    """Follows runs to their end."""

    def __init__(self, runs: list[Run]) -> None:
        self.runs = list(runs)
        """Runs whose workers are at work."""
        self.finished: list[Run] = []
        """Runs that wait for their project."""
        self._leaving: list[Run] = []
        self._peaks = Peaks()
        self._pointers: dict[str, str] = {}
        self._notes: dict[str, tuple[str, str]] = {}
        self._hint = ""
        self._next = 0
        self._look_at = 0.0
        self._looked = ("", -1)
        self._find_items()
        for run in self.runs:
            # An action that is started meanwhile must not follow it a second time.
            api.remember(run.id, "followed", False)

    def tick(self) -> bool:
        """Do what is due, within two milliseconds or so; return whether there will be more to do."""
        for run in self._due_runs():
            self._look(run)
        self._show()
        self._write_notes()
        if self.finished and time.monotonic() >= self._look_at:
            self._insert_finished()
        has_peaks = self._peaks.step()
        self._leaving = [run for run in self._leaving if run.is_process_alive()]
        return bool(self.runs or self.finished or has_peaks or self._notes or self._leaving)

    def _due_runs(self) -> list[Run]:
        """Return the next few runs, so that many of them cost a tick no more than a few."""
        count = len(self.runs)
        chosen = [self.runs[(self._next + number) % count] for number in range(min(LOOKS, count))]
        self._next = (self._next + len(chosen)) % max(1, count)
        return chosen

    def _look(self, run: Run) -> None:
        if run.refresh():
            self._plan_notes(run)
            if run.state == "asking":
                self._ask(run)
        if run.state in FINAL:
            self._end(run)
        elif run.is_dead():
            # The last word may have come between the look at the file and the look at the process.
            run.refresh()
            self._end(run)

    def _ask(self, run: Run) -> None:
        if run.has("go") or run.has("cancel"):
            return
        run.say("go" if api.box(run.status["message"], 1) == 1 else "cancel")

    def _end(self, run: Run) -> None:
        self.runs.remove(run)
        self._leaving.append(run)
        if run.results() and not run.has("dismissed") and not run.has("cancel"):
            self.finished.append(run)
            self._look_at = 0.0
            self._looked = ("", -1)
        else:
            self._clear_notes(run)
        self._tell_end(run)

    def _tell_end(self, run: Run) -> None:
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
        for line in describe_labels(run) if run.request["kind"] == "label" else ():
            api.tell(line)

    def _insert_finished(self) -> None:
        self._look_at = time.monotonic() + PATIENCE
        place = (api.active_project()[0], api.change_count())
        if place == self._looked:
            return
        self._looked = place
        index = ProjectIndex()
        for run in [run for run in self.finished if index.is_home_of(run)]:
            self.finished.remove(run)
            self._forget_notes(run)
            if not index.holds(run):
                self._insert(run, index)
                index = ProjectIndex()

    def _insert(self, run: Run, index: ProjectIndex) -> None:
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

    def _plan_notes(self, run: Run) -> None:
        if not run.status.get("settings", {}).get("show_in_items", True) or run.is_final:
            return
        words = {entry["key"]: describe_file(entry) for entry in run.status.get("files", ())}
        for item in run.items:
            if item["file"] in words:
                self._notes[item["guid"]] = (run.id, words[item["file"]])

    def _write_notes(self) -> None:
        for guid in list(self._notes)[:NOTES]:
            _, words = self._notes.pop(guid)
            pointer = self._pointers.get(guid, "")
            if pointer and api.guid("MediaItem", pointer) == guid:
                notes = api.text("MediaItem", pointer, "P_NOTES")
                wanted = with_line(notes, words)
                if wanted != notes:
                    api.set_text("MediaItem", pointer, "P_NOTES", wanted)

    def _forget_notes(self, run: Run) -> None:
        self._notes = {guid: note for guid, note in self._notes.items() if note[0] != run.id}

    def _clear_notes(self, run: Run) -> None:
        self._forget_notes(run)
        pointers = {item["guid"]: self._pointers.get(item["guid"], "") for item in run.items}
        if all(pointer and api.guid("MediaItem", pointer) == guid for guid, pointer in pointers.items()):
            clear_notes(pointers.values())
        else:
            # Undone and redone, items have other pointers; to look through the project takes a moment.
            ProjectIndex().clear_notes(run)

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
