"""What a script asks beside separating and labelling: a plan for a run's stems, and what runs there are."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from plugin_core.console.phrases import plural
from plugin_core.errors import ExitCode, StembridgeError, UsageError
from plugin_core.session import Session
from plugin_core.settings import Settings
from stembridge_reaper.placed_stems import name_file
from stembridge_reaper.placement import Placement
from stembridge_reaper.plan import write_plan
from stembridge_reaper.protocol import PENDING, Request, Status, StemResult, read_request, read_status, read_tag
from stembridge_reaper.runs import BEAT, DISMISSED, ENDED, FINAL, LOOK, PATIENCE, RUNS, ReaperSettings, hold
from stembridge_reaper.selection import FinishedItem, find_finished, read_items
from stembridge_reaper.status import StatusFile, describe_failures, describe_run

PLAN = "plan.jsonl"

BEGIN = 20.0
"""Seconds that a worker has to begin."""

FRESH = 5.0
"""Seconds after which a script that gave no sign follows a run no more; it gives one every second."""


class KnownRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of the folder of runs."""

    folder: Path
    request: Request
    status: Status

    @property
    def is_final(self) -> bool:
        """Whether its worker has said its last word."""
        return self.status.state in FINAL

    @property
    def is_dead(self) -> bool:
        """Whether its worker has gone without a last word."""
        if self.is_final or (not self.status.pid and _age(self.folder / "request.json") < BEGIN):
            return False
        with hold(self.folder / "lock") as is_free:
            return is_free

    @property
    def is_followed(self) -> bool:
        """Whether a script inserts its stems when they are ready, in this REAPER or another."""
        return _age(self.folder / "followed") < FRESH

    def has(self, name: str) -> bool:
        """Tell whether one of the empty files is there."""
        return (self.folder / name).exists()

    def finished(self) -> list[FinishedItem]:
        """Return the items whose stems stand on the disk."""
        nowhere = msgspec.structs.replace(self.request, items=())
        return find_finished(self.request, self.status.files, nowhere)[0]


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def list_runs(root: Path) -> Iterator[KnownRun]:
    """Yield the runs that were not dismissed, oldest first, those aside that cannot be read."""
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        run = read_run(folder)
        if run is not None and run.request.kind in ("separate", "label") and not run.has(DISMISSED):
            yield run


def read_run(folder: Path) -> KnownRun | None:
    """Return a run by its folder; None when it cannot be read."""
    try:
        request = read_request(folder / "request.json")
    except StembridgeError:
        return None
    status = read_status(folder / "status.json") or Status(id=folder.name, pid=0, heartbeat=0.0)
    return KnownRun(folder=folder, request=request, status=status)


class Query:
    """One request that is answered at once, but for what its answer has to ask.

    Args:
        settings: the user's.
        request: what is asked.
        folder: of the request; its status is the answer.
        open_session: opens the core, for what needs more than settings.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        settings: Settings,
        request: Request,
        folder: Path,
        open_session: Callable[[], AbstractContextManager[Session]],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._open_session = open_session
        self._request = request
        self._folder = folder
        self._sleep = sleep
        self._out = StatusFile(folder / "status.json", Status(id=request.id, pid=os.getpid(), heartbeat=0.0))

    def run(self) -> int:
        """Answer, and return the exit code.

        Raises:
            UsageError: a run is not there any more.
        """
        kinds = {"place": self._place, "insert": self._insert, "jobs": self._list, "cancel": self._cancel}
        kinds["choices"] = self._list_choices
        kinds[self._request.kind]()
        self._out.status.state = "done"
        self._out.close()
        return ExitCode.DONE

    def fail(self, message: str) -> None:
        """Say that nothing came of it."""
        if self._request.kind == "place":
            message += ". 'Insert finished stems' inserts the stems then."
        self._out.status.state, self._out.status.message = "failed", message
        self._out.write()

    def _tell(self, message: str) -> None:
        self._out.status.message = message

    def _list_choices(self) -> None:
        from stembridge_reaper.choices import list_choices

        with self._open_session() as session:
            self._out.status.choices, self._out.status.console = asyncio.run(list_choices(session))

    def _ask(self, message: str, buttons: int, options: Sequence[str] = ()) -> tuple[str, list[int]]:
        """Return ``go``, ``no`` or ``cancel``, and the numbers of the options that this is said of."""
        status = self._out.status
        status.state, status.message, status.buttons, status.options = "asking", message, buttons, list(options)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self._out.touch(BEAT)
            for answer in ("go", "no", "cancel"):
                if (chosen := self._read(answer, len(options))) is not None:
                    # Told before the answer goes, or the script would find the question open, and ask once more.
                    status.state, status.message, status.options = "working", "", []
                    self._out.write()
                    (self._folder / answer).unlink(missing_ok=True)
                    return answer, chosen
            self._sleep(LOOK / 4)
        return "cancel", []

    def _read(self, answer: str, count: int) -> list[int] | None:
        """Return what is chosen in an answer; None while it is not there whole."""
        try:
            said = (self._folder / answer).read_bytes()
            chosen = msgspec.json.decode(said, type=list[int]) if count else []
        except (OSError, msgspec.DecodeError):
            return None
        return [number for number in chosen if 0 <= number < count]

    def _runs(self) -> list[KnownRun]:
        return list(list_runs(self._settings.home / RUNS))

    def _place(self) -> None:
        run = read_run(Path(self._request.run))
        if run is None:
            raise UsageError(f"the run {Path(self._request.run).name} is not there any more")
        finished, left = find_finished(run.request, run.status.files, self._request)
        settings = self._settings.section("reaper", ReaperSettings)
        if said := run.request.stem_tracks:
            settings = msgspec.convert(msgspec.structs.asdict(settings) | {"stem_tracks": said}, ReaperSettings)
        names: dict[str, set[str]] = {}
        for item in read_items(run.request.project, run.request.items)[0]:
            names.setdefault(item.facts.track, set()).add(item.name)
        placement = Placement(run.folder.name, names, self._request, settings)
        steps = placement.plan(finished)
        if steps:
            write_plan(self._folder / PLAN, steps)
        self._out.status.ready = run.status.ready
        over = [number for file in run.status.files if file.state in ENDED for number in file.items]
        self._out.status.placed = [run.request.items[number].guid for number in over]
        self._out.status.console += [f"stembridge: {note}" for note in dict.fromkeys(placement.notes)]
        told = []
        if left["moved"]:
            told.append("The stems are finished, but they are not where they were put: see 'stembridge jobs list'.")
        if left["changed"]:
            told.append(
                f"{plural(left['changed'], 'item')} left alone: another file or part was played there when the stems"
                " came. Start the action again; what was separated is used again."
            )
        if left["shorter"] and placement.placed:
            self._out.status.console.append(
                f"stembridge: {plural(left['shorter'], 'item')} shorter than when the action was started; what was"
                " split off has no stems yet: start the action again for it"
            )
        if placement.standing and not placement.placed:
            told.append(f"The stems of {plural(placement.standing, 'item')} are in the project already.")
        self._tell("\n".join(told))

    def _insert(self) -> None:
        pending = {track.guid for track in self._request.tracks if read_tag(track.tag).state == PENDING}
        tags = [read_tag(stem.tag) for stem in self._request.standing if stem.track not in pending]
        standing = {(tag.item, tag.stem, word) for tag in tags for word in (tag.job, tag.file)}
        runs = [run for run in self._runs() if not run.has("cancel")]
        dead = [run for run in runs if run.is_dead]
        at_work = [run for run in runs if not run.is_final and run not in dead]
        missing: dict[Path, list[FinishedItem]] = {}
        # The same action twice makes two runs of the same stems: the later one has them.
        for run in [run for run in reversed(runs) if run.is_final]:
            missing[run.folder] = [one for one in run.finished() if not _stands(one, standing)]
            standing |= {key for one in missing[run.folder] for stem in one.part.stems for key in _keys(one, stem)}
        left = [run for run in runs if missing.get(run.folder)]
        here = [run for run in left if not run.is_followed and self._is_home_of(run)]
        lost = [run for run in at_work if not run.is_followed]
        status = self._out.status
        status.clear = [item.guid for run in runs if run.is_final or run in dead for item in run.request.items]
        follow = self._offer(here, missing) if here else []
        if dead and self._offer_resuming(dead):
            follow += dead
            status.start = [str(run.folder) for run in dead]
        follow += lost
        status.follow = [str(run.folder) for run in follow]
        if not here and not dead and not lost:
            self._tell(_nothing_to_insert([run for run in left if not self._is_home_of(run)], len(at_work)))

    def _is_home_of(self, run: KnownRun) -> bool:
        """Tell whether this is the project that a run was started in.

        Items and tracks keep their GUIDs when a project is saved under another name; of two open copies the one that
        has the old name counts.
        """
        there, project = run.request.project.path, self._request.project
        if there and _same_path(there, project.path):
            return True
        if there and any(_same_path(there, path) for path in project.open):
            return False
        known = {*self._request.guids, *(track.guid for track in self._request.tracks)}
        return any(item.guid in known or item.track in known for item in run.request.items)

    def _offer(self, runs: Sequence[KnownRun], missing: dict[Path, list[FinishedItem]]) -> list[KnownRun]:
        """Ask which to insert; on No they are not offered again."""
        count = sum(len(missing[run.folder]) for run in runs)
        named = [f"{run.request.preset or run.request.model}: {_names(missing[run.folder])}" for run in runs]
        question = f"The stems of {plural(count, 'item')} are finished and not in this project. Insert "
        if len(runs) == 1:
            return self._choose(runs, f"{question}them?\n\n{named[0]}\n\nNo: do not ask again.")
        return self._choose(runs, f"{question}those that are chosen?\n\nNo: do not ask for these again.", named)

    def _offer_resuming(self, runs: Sequence[KnownRun]) -> bool:
        """Ask whether to go on with what a crash interrupted; on No it is not offered again."""
        were = "was" if len(runs) == 1 else "were"
        question = f"{plural(len(runs), 'run')} {were} interrupted. Take up the work again?"
        return bool(self._choose(runs, f"{question}\n\nNo: do not ask again."))

    def _choose(self, runs: Sequence[KnownRun], question: str, options: Sequence[str] = ()) -> list[KnownRun]:
        answer, numbers = self._ask(question, 3, options)
        chosen = [runs[number] for number in numbers] if options else list(runs)
        for run in chosen if answer == "no" else ():
            (run.folder / DISMISSED).touch()
        return chosen if answer == "go" else []

    def _list(self) -> None:
        runs = self._runs()
        if not runs:
            self._tell("There are no jobs of stembridge.")
        for run in runs[-20:]:
            is_open = not run.is_final and not run.is_dead
            state = describe_run(run.status) if is_open else run.status.state if run.is_final else "interrupted"
            lines = [f"{run.folder.name}  {run.request.preset or run.request.kind}  {state}"]
            lines += [f"    {line}" for line in describe_failures(run.status).splitlines()]
            self._out.status.console += lines

    def _cancel(self) -> None:
        # A worker that died over cancelling left the rest to do.
        alive = [run for run in self._runs() if not run.is_final and (run.is_dead or not run.has("cancel"))]
        if not alive:
            self._tell("No job of stembridge is at work.")
            return
        if self._ask(f"Cancel {plural(len(alive), 'run')}?", 4)[0] != "go":
            return
        # The job of a dead worker may live on at the service, and only a worker can cancel it there.
        dead = [str(run.folder) for run in alive if run.is_dead]
        for run in alive:
            (run.folder / "cancel").touch()
        self._out.status.start = self._out.status.follow = dead


def _stands(one: FinishedItem, standing: set[tuple[str, str, str]]) -> bool:
    return all(not standing.isdisjoint(_keys(one, stem)) for stem in one.part.stems)


def _keys(one: FinishedItem, stem: StemResult) -> list[tuple[str, str, str]]:
    """Return what tells a stem from all others in a project: by its job, and by its file."""
    return [(one.item.guid, stem.name, word) for word in (stem.job, name_file(stem.path))]


def _names(finished: Sequence[FinishedItem]) -> str:
    names = list(dict.fromkeys(one.item.name for one in finished))
    return ", ".join([*names[:3], "..."] if len(names) > 3 else names)


def _nothing_to_insert(elsewhere: Sequence[KnownRun], at_work: int) -> str:
    if at_work:
        return f"{plural(at_work, 'run')} still at work: the stems come in by themselves when they are ready."
    if not elsewhere:
        return "There are no finished stems to insert."
    paths = dict.fromkeys(run.request.project.path or "an unsaved project" for run in elsewhere)
    return f"There are no finished stems for this project; there are some for {', '.join(paths)}."


def _same_path(one: str, other: str) -> bool:
    return os.path.normcase(one) == os.path.normcase(other)
