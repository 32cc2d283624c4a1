"""The actions of REAPER's action list, one function each; an entry script calls one of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import api
from .documents import Refusal, choose_preset, preset_kind, read_configuration
from .facts import clear_own_notes, mark_items, project_facts, read_all, read_items
from .loop import Watcher, run_action
from .runs import RunFolder, make_run, start_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .documents import Document


AS_TAKES = " as takes"
"""Behind a preset: its stems become takes of the items."""


def separate_choosing() -> None:
    """Ask for a preset, then separate the selected items."""
    run_action(lambda: _separate(_ask_preset))


def separate_again() -> None:
    """Separate the selected items by the preset that was used last."""
    run_action(lambda: _separate(lambda configuration: (_last_preset(configuration), "")))


def separate_by(name: str) -> None:
    """Do to the selected items what one preset says."""
    run_action(lambda: _separate(lambda configuration: (choose_preset(configuration, name), "")))


def label_files() -> None:
    """Label the files of the selected items in their own tags."""
    run_action(lambda: _start(read_configuration(api.resource_path()), {"kind": "label"}, _require_items()))


def insert_finished() -> None:
    """Insert the finished stems of the active project, and take up again what a crash interrupted."""
    run_action(lambda: _ask("insert"))


def show_jobs() -> None:
    """List the runs in the console."""
    run_action(lambda: _ask("jobs"))


def cancel_jobs() -> None:
    """Cancel every run that is at work, at the service too."""
    run_action(lambda: _ask("cancel"))


def _separate(choose: Callable[[Document], tuple[str, str] | None]) -> Watcher | None:
    configuration = read_configuration(api.resource_path())
    pointers = _require_items()
    chosen = choose(configuration)
    if chosen is None:
        return None
    name, stem_tracks = chosen
    # REAPER keeps one line of ASCII; a preset may be called anything.
    api.remember("preset", json.dumps(name))
    return _start(
        configuration, {"kind": preset_kind(configuration, name), "preset": name, "stem_tracks": stem_tracks}, pointers
    )


def _require_items() -> list[str]:
    pointers = api.selected_items()
    if not pointers:
        raise Refusal("Select one or more audio items first.")
    return pointers


def _ask_preset(configuration: Document) -> tuple[str, str] | None:
    """Return the name of a preset, and where its stems shall be."""
    presets = configuration["presets"]
    for number, preset in enumerate(presets, 1):
        # A question has no room for a list.
        api.tell("%d  %s%s" % (number, preset["name"], "  (%s)" % preset["title"] if preset["title"] else ""))
    answer = api.ask("Preset (number or name; ... as takes)", _last_preset(configuration))
    if answer is None:
        return None
    words, is_takes, _ = answer.partition(AS_TAKES)
    return choose_preset(configuration, words), "takes" if is_takes else ""


def _last_preset(configuration: Document) -> str:
    names = [str(preset["name"]) for preset in configuration["presets"]]
    try:
        last = str(json.loads(api.remembered("preset")))
    except ValueError:
        last = ""
    return last if last in names else names[0]


def _start(configuration: Document, wish: Document, pointers: list[str]) -> Watcher:
    watcher = Watcher(configuration)
    watcher.add(_begin(watcher, wish, pointers))
    return watcher


def _begin(watcher: Watcher, wish: Document, pointers: list[str]) -> Generator[Any, None, None]:
    """Read the selected items, and start a run of them."""
    project = project_facts()
    items = yield from read_items(pointers, watcher.known, is_limited=True)
    run = make_run(watcher.configuration["runs"], dict(wish, project=project, items=items))
    _start_worker(watcher, run)
    watcher.follow(run)
    yield from mark_items([item["guid"] for item in items], watcher.known, run.id)


def _start_worker(watcher: Watcher, run: RunFolder) -> None:
    try:
        start_worker(watcher.configuration, run)
    except Refusal:
        run.say("dismissed")
        raise


def _ask(kind: str) -> Watcher:
    watcher = Watcher(read_configuration(api.resource_path()))
    watcher.add(_answer(watcher, kind))
    return watcher


def _answer(watcher: Watcher, kind: str) -> Generator[Any, None, None]:
    """Let a worker look through the runs, and follow those that it names."""
    request: Document = {"kind": kind, "project": project_facts()}
    if kind == "insert":
        request["tracks"], stems, watcher.known = yield from read_all()
        request["standing"] = [{key: stem[key] for key in ("guid", "track", "tag")} for stem in stems]
        request["guids"] = list(watcher.known)
    answer = yield from watcher.ask_worker(request, watcher.configuration["runs"], "query-")
    yield from clear_own_notes(answer.status["clear"], watcher.known)
    for folder in answer.status["follow"]:
        run = RunFolder(folder)
        if folder in answer.status["start"]:
            start_worker(watcher.configuration, run)
        watcher.follow(run)
    watcher.tell(answer)
