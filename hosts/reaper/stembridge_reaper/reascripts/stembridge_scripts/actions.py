"""The actions of REAPER's action list, one function each; an entry script calls one of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from . import api
from .documents import choose_preset, preset_kind, read_configuration
from .items import ProjectIndex, read_selection
from .loop import Watcher, run_action
from .runs import list_runs, make_run, start_worker
from .tracks import group_by_file
from .words import Refusal, describe_failures, describe_run, describe_skipped, plural

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from .documents import Document, Item
    from .runs import RunFolder

YES, NO = 6, 7


def separate_choosing() -> None:
    """Ask for a preset, then separate the selected items."""
    run_action(lambda: _separate(_ask_preset))


def separate_again() -> None:
    """Separate the selected items by the preset that was used last."""
    run_action(lambda: _separate(_last_preset))


def separate_by(name: str) -> None:
    """Do to the selected items what one preset says."""
    run_action(lambda: _separate(lambda configuration: choose_preset(configuration, name)))


def label_files() -> None:
    """Label the files of the selected items in their own tags."""
    run_action(lambda: _start(read_configuration(api.resource_path()), "label", "", *_require_items()))


def insert_finished() -> None:
    """Insert the finished stems of the active project, and take up again what a crash interrupted."""
    run_action(_insert_finished)


def show_jobs() -> None:
    """List the runs in the console."""
    run_action(_show_jobs)


def cancel_jobs() -> None:
    """Cancel every run that is at work, at the service too."""
    run_action(_cancel_jobs)


def _separate(choose: Callable[[Document], str | None]) -> Watcher | None:
    configuration = read_configuration(api.resource_path())
    items, skipped = _require_items()
    name = choose(configuration)
    if name is None:
        return None
    # REAPER keeps one line of ASCII; a preset may be called anything.
    api.remember("preset", json.dumps(name))
    return _start(configuration, preset_kind(configuration, name), name, items, skipped)


def _require_items() -> tuple[list[Item], Counter[str]]:
    items, skipped = read_selection()
    if not items:
        if not skipped:
            raise Refusal("Select one or more audio items first.")
        raise Refusal("No selected item can be used; %s." % describe_skipped(skipped))
    return items, skipped


def _ask_preset(configuration: Document) -> str | None:
    presets = configuration["presets"]
    for number, preset in enumerate(presets, 1):
        # A question has no room for a list.
        api.tell("%d  %s%s" % (number, preset["name"], "  (%s)" % preset["title"] if preset["title"] else ""))
    answer = api.ask("Preset (number or name)", _last_preset(configuration))
    return None if answer is None else choose_preset(configuration, answer)


def _last_preset(configuration: Document) -> str:
    names = [str(preset["name"]) for preset in configuration["presets"]]
    try:
        last = str(json.loads(api.remembered("preset")))
    except ValueError:
        last = ""
    return last if last in names else names[0]


def _start(configuration: Document, kind: str, preset: str, items: list[Item], skipped: Counter[str]) -> Watcher:
    files = group_by_file(items)
    project = {"path": api.active_project()[1], "media": api.media_folder()}
    request = {"kind": kind, "preset": preset, "project": project, "files": files, "items": items}
    try:
        run = make_run(configuration["runs"], request)
    except OSError as error:
        raise Refusal("%s cannot be written: %s." % (configuration["runs"], error.strerror or error)) from error
    try:
        start_worker(configuration, run)
    except Refusal:
        run.say("dismissed")
        raise
    if skipped:
        api.tell("stembridge: " + describe_skipped(skipped))
    return Watcher([run])


def _open_runs(configuration: Document) -> list[RunFolder]:
    return [run for run in list_runs(configuration["runs"]) if not run.has("dismissed")]


def _insert_finished() -> Watcher | None:
    configuration = read_configuration(api.resource_path())
    index = ProjectIndex()
    runs = [run for run in _open_runs(configuration) if not index.holds(run)]
    interrupted = [run for run in runs if run.is_dead() and not run.has("cancel")]
    finished = [run for run in runs if run.is_final and not run.has("cancel") and run.results()]
    here = [run for run in finished if index.is_home_of(run)]
    elsewhere = [run for run in finished if run not in here]
    at_work = [run for run in runs if not run.is_final and run not in interrupted and _is_lost(run)]
    _clear_stale_notes(index, runs)
    offered = here if here and _offer(here) else []
    resumed = interrupted if interrupted and _offer_resuming(interrupted) else []
    for run in resumed:
        start_worker(configuration, run)
    if not here and not interrupted and not at_work:
        api.box(_nothing_to_insert(elsewhere))
    followed = [*offered, *resumed, *at_work]
    return Watcher(followed) if followed else None


def _is_lost(run: RunFolder) -> bool:
    """Tell whether no script follows a run any more, since REAPER was closed meanwhile."""
    return not api.remembered(run.id)


def _offer(runs: list[RunFolder]) -> bool:
    """Ask whether to insert; on No they are not offered again."""
    count = sum(len(run.results()) for run in runs)
    question = "The stems of %s are finished and not in this project. Insert them?\n\nNo: do not ask again."
    answer = api.box(question % plural(count, "item"), 3)
    for run in runs if answer == NO else ():
        run.say("dismissed")
    return answer == YES


def _offer_resuming(runs: list[RunFolder]) -> bool:
    """Ask whether to go on with what a crash interrupted; on No it is not offered again."""
    question = "%s interrupted. Take up the work again?\n\nNo: do not ask again."
    answer = api.box(question % (plural(len(runs), "run") + (" was" if len(runs) == 1 else " were")), 3)
    for run in runs if answer == NO else ():
        run.say("dismissed")
    return answer == YES


def _nothing_to_insert(elsewhere: list[RunFolder]) -> str:
    if not elsewhere:
        return "There are no finished stems to insert."
    paths = dict.fromkeys(run.request["project"]["path"] or "an unsaved project" for run in elsewhere)
    return "There are no finished stems for this project; there are some for %s." % ", ".join(paths)


def _clear_stale_notes(index: ProjectIndex, runs: list[RunFolder]) -> None:
    for run in runs:
        if run.is_final or run.is_dead():
            index.clear_notes(run)


def _show_jobs() -> None:
    runs = _open_runs(read_configuration(api.resource_path()))
    if not runs:
        api.box("There are no jobs of stembridge.")
        return
    for run in runs[-20:]:
        state = "interrupted" if run.is_dead() else run.state if run.is_final else describe_run(run)
        api.tell("%s  %s  %s" % (run.id, run.request["preset"] or run.request["kind"], state))
        for line in describe_failures(run).splitlines():
            api.tell("    " + line)


def _cancel_jobs() -> Watcher | None:
    configuration = read_configuration(api.resource_path())
    # A worker that died over cancelling left the rest to do.
    alive = [run for run in _open_runs(configuration) if not run.is_final and (run.is_dead() or not run.has("cancel"))]
    if not alive:
        api.box("No job of stembridge is at work.")
        return None
    if api.box("Cancel %s?" % plural(len(alive), "run"), 4) != YES:
        return None
    dead = [run for run in alive if run.is_dead()]
    for run in alive:
        run.say("cancel")
    for run in dead:
        # Its job may live on at the service, and only a worker can cancel it there.
        start_worker(configuration, run)
    return Watcher(dead) if dead else None
