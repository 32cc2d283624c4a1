"""``beet stembridge``: what became of jobs, and what is noted on songs by an import or an interrupted run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from beets import ui
from beets.util import prune_dirs
from confuse import ConfigError

from plugin_core import AUDIO_SUFFIXES, canonical
from plugin_core.console.phrases import plural
from plugin_core.model import Job, JobState, Operation, Separation, Tagging, show_path, to_json
from plugin_core.run import stands
from plugin_core.session import Session
from stembridge_beets import moods_command, stems_command
from stembridge_beets.configuration import OWN_WORDS, core_settings, overlay, read_auto, read_count, read_flag, services
from stembridge_beets.consistency import find_job, is_replaced
from stembridge_beets.host import CORE_WORDS, UserError, trouble_told
from stembridge_beets.labels import is_labelled
from stembridge_beets.moves import MovedSong, find_left, find_unclaimed
from stembridge_beets.places import Claims, StemsPlace, read_place, write_place
from stembridge_beets.run import LibraryRun, Manners, WorkKind, end
from stembridge_beets.tasks import TODO_FIELDS, Task, Todo, find_marked, make_task, name_item, path_of, unmark

if TYPE_CHECKING:
    from beets.library import Item, Library

    from stembridge_beets.host import Host, OwnOptions


_WRONG: Final = (UserError, ConfigError)
"""What a command ends with where settings or accounts are wrong; an import goes on."""


def finish(
    plugin: Host,
    lib: Library,
    kind: str,
    marked: Sequence[tuple[Item, Todo]],
    *,
    is_quiet: bool,
    is_pretended: bool = False,
) -> LibraryRun:
    """Do what is noted, without asking: it was asked for. What cannot be done now is told and stays noted."""
    words = Manners(yes=True, quiet=is_quiet, pretend=is_pretended, threads=read_count(plugin.config, "threads"))
    run = LibraryRun(plugin, lib, make_kind(plugin, kind, is_quiet=is_quiet), words)
    try:
        tasks = _make_marked_tasks(plugin, kind, marked, is_pretended=is_pretended)
    except _WRONG as error:
        _leave(plugin, run, len(marked), error)
        return run
    # A service that refuses its account hinders no other.
    for provider in dict.fromkeys(task.operation.provider for task in tasks):
        part = [task for task in tasks if task.operation.provider == provider]
        if run.is_interrupted:
            run.left += len(part)
            continue
        try:
            run.do(part)
        except _WRONG as error:
            _leave(plugin, run, len(part), error)
    return run


def make_kind(plugin: Host, name: str, *, is_quiet: bool) -> WorkKind:
    return moods_command.Labels(plugin, is_shown=not is_quiet) if name == "moods" else stems_command.Stems(plugin)


def _leave(plugin: Host, run: LibraryRun, count: int, error: Exception) -> None:
    plugin.log.error("{}: {}", run.kind.name, error)
    run.left += count


def _make_marked_tasks(
    plugin: Host, kind: str, marked: Sequence[tuple[Item, Todo]], *, is_pretended: bool
) -> list[Task]:
    usual: Operation | None = None
    tasks = []
    for item, one in marked:
        operation = one.operation
        if operation is None:
            usual = usual or _choose(plugin, kind)
            operation = usual
        if one.operation is None and is_done(item, operation):
            if not is_pretended:
                unmark(item, kind)
                item.store()
            continue
        tasks.append(make_task(item, operation, force=one.force, write=one.write, job=one.job))
    return tasks


def _choose(plugin: Host, kind: str) -> Operation:
    return moods_command.choose_tagging(plugin) if kind == "moods" else stems_command.choose_operation(plugin)


def is_done(item: Item, operation: Operation) -> bool:
    """Tell whether an item has what is to be made: it was in the library before, or got it by another way."""
    if isinstance(operation, Tagging):
        return is_labelled(item, operation)
    place = read_place(item)
    return place is not None and place.is_whole


def mark_imported(plugin: Host, items: Iterable[Item]) -> list[int]:
    """Note on imported songs what is to be done, in the import's own thread; return their ids."""
    kinds = read_auto(plugin.config)
    note = to_json(Todo()).decode()
    ids = []
    for item in items:
        for kind in kinds:
            item[TODO_FIELDS[kind]] = note
        item.store()
        if item.id is not None:
            ids.append(item.id)
    return ids


def finish_import(plugin: Host, lib: Library, ids: Sequence[int]) -> None:
    """Do what an import noted; what goes wrong is told, left for ``resume``, and never makes the import fail."""
    wanted = set(ids)
    try:
        with trouble_told():
            is_quiet = read_flag(plugin, "quiet", None)
            for kind in read_auto(plugin.config):
                marked = [(item, one) for item, one in find_marked(lib, kind) if item.id in wanted]
                run = finish(plugin, lib, kind, marked, is_quiet=is_quiet)
                if run.left:
                    plugin.log.error("{}: {} unfinished, go on with: beet stembridge resume", kind, run.left)
                if run.is_interrupted:
                    return
    except _WRONG as error:
        plugin.log.error("what the import brought is unfinished, go on with: beet stembridge resume ({})", error)


_ENDED: Final = (JobState.FAILED, JobState.CANCELLED, JobState.UNCONFIRMED)
_MONTH: Final = 30 * 24 * 3600.0


def run_own(plugin: Host, lib: Library, opts: OwnOptions, args: Sequence[str]) -> None:
    """Do what ``beet stembridge`` was asked.

    Raises:
        UserError: an unknown word, or not everything could be finished.
    """
    word, *query = args or ["status"]
    is_quiet = read_flag(plugin, "quiet", opts.quiet)
    match word:
        case "status":
            show(lib, query)
        case "resume":
            resume(plugin, lib, query, is_pretended=opts.pretend, is_quiet=is_quiet)
        case "retry":
            words = Manners(
                pretend=opts.pretend,
                quiet=is_quiet,
                yes=read_flag(plugin, "yes", opts.yes),
                threads=read_count(plugin.config, "threads"),
            )
            retry(plugin, lib, query, words)
        case "adopt":
            adopt(plugin, lib, query, is_pretended=opts.pretend, is_quiet=is_quiet)
        case "prune" if opts.pretend or query:
            raise UserError("beet stembridge prune takes no query and cannot be tried with -p")
        case "prune":
            prune(plugin, is_quiet=is_quiet)
        case _ if word in CORE_WORDS:
            run_core(plugin, word, query)
        case _:
            raise UserError(f"beet stembridge {word}: there are {', '.join((*OWN_WORDS, *CORE_WORDS))}")


def run_core(plugin: Host, word: str, args: Sequence[str]) -> None:
    """Let stembridge's own command line do something, with the accounts and the folder of beets' configuration.

    Raises:
        UserError: keys are to be kept where nobody would look, as beets' configuration has some.
        SystemExit: it did not end well, and said why.
    """
    for section, keys in services().items() if word == "login" else ():
        is_meant = any(one.startswith(section) for one in args)
        if is_meant and any(plugin.config[section][key].get(str) for key in keys):
            raise UserError(
                f"the keys of {section} stand in beets' own configuration, which wins: change them there, or take them "
                "out (`beet config -e`)"
            )
    command = [sys.executable, "-c", "from stembridge_beets.host import speak; speak()", word, *args]
    if code := subprocess.run(command, env=overlay(plugin.config, os.environ), check=False).returncode:
        sys.exit(code)


def show(lib: Library, query: Sequence[str] = ()) -> None:
    """List the songs with work left."""
    found = [(kind, item) for kind in TODO_FIELDS for item, _ in find_marked(lib, kind, query)]
    for kind, item in found:
        ui.print_(f"{kind}: {name_item(item)}")
    if not found:
        ui.print_("nothing is left to be done")


def resume(plugin: Host, lib: Library, query: Sequence[str], *, is_pretended: bool, is_quiet: bool) -> None:
    """Finish what was interrupted, of the songs that match, or say what would be done.

    Raises:
        UserError: some of it cannot be finished now.
    """
    runs: list[LibraryRun] = []
    is_any = False
    for kind in TODO_FIELDS:
        marked = find_marked(lib, kind, query)
        runs.append(finish(plugin, lib, kind, marked, is_quiet=is_quiet, is_pretended=is_pretended))
        is_any |= bool(is_pretended and marked)
        if runs[-1].is_interrupted:
            break
    if not is_any and not any(run.done or run.failed or run.left for run in runs) and not is_quiet:
        ui.print_("nothing is left to be done")
    end(lib, runs)


def retry(plugin: Host, lib: Library, query: Sequence[str], words: Manners) -> None:
    """Try again what failed or was cancelled, of the songs that match and still lack it.

    Raises:
        UserError: some of it fails again.
    """
    jobs = _read_ended(plugin)
    runs: list[LibraryRun] = []
    for name in TODO_FIELDS:
        run = LibraryRun(plugin, lib, make_kind(plugin, name, is_quiet=words.quiet), words)
        run.do(list(_make_tasks(lib, query, name, jobs)))
        runs.append(run)
    if not any(run.done or run.failed or run.left for run in runs) and not words.quiet and not words.pretend:
        ui.print_("nothing that failed is still wanted")
    end(lib, runs)


def _make_tasks(lib: Library, query: Sequence[str], kind: str, jobs: Sequence[_Ended]) -> Iterator[Task]:
    wanted = Tagging if kind == "moods" else Separation
    newest: dict[Path, _Ended] = {}
    for ended in jobs:
        if isinstance(ended.job.operation, wanted):
            newest.setdefault(ended.job.source.path, ended)
    for item in lib.items(list(query)) if newest else ():
        failed = newest.get(path_of(item))
        if failed is not None and not is_done(item, failed.job.operation):
            yield make_task(item, failed.job.operation, job=failed.job.id if failed.goes_on else "")


class _Ended(msgspec.Struct, frozen=True):
    job: Job
    goes_on: bool
    """Whether it goes on from what it has: nothing of it is bought again."""


def _read_ended(plugin: Host) -> list[_Ended]:
    """Return the core's jobs that did not come to a good end, newest first."""
    with Session(core_settings(plugin.config)) as session:
        found = session.store.list(_ENDED) if session.has_store else []
        return [_Ended(job, session.store.goes_on(job)) for job in found]


def adopt(plugin: Host, lib: Library, query: Sequence[str], *, is_pretended: bool, is_quiet: bool) -> None:
    """Note in the library stems that stand already, whoever made them, and bring along those that were left behind.

    Nothing is made or bought.
    """
    claims = Claims(lib)
    found = left = 0
    with Session(core_settings(plugin.config)) as session:
        made = _find_made(session)
        for item in lib.items(list(query)):
            place = read_place(item)
            if place is not None and place.is_whole:
                job = find_job(session, item)
                if job is not None and (old := find_left(item, place, job)) is not None:
                    left += 1
                    _bring(plugin, lib, item, place, old, is_pretended=is_pretended, is_quiet=is_quiet)
                continue
            told = _adopt(session, item, made.get(path_of(item)), claims)
            if not told:
                continue
            found += 1
            if not is_quiet:
                ui.print_(f"{name_item(item)}: {told}")
            if not is_pretended:
                unmark(item, "stems")
                item.store()
    if not is_quiet:
        known = f"{plural(found, 'song')} with stems the library {'does' if is_pretended else 'did'} not know of"
        ui.print_(known + (f", {left} with stems left behind" if left else ""))


def _find_made(session: Session) -> dict[Path, Job]:
    """Return the newest of the core's jobs that made stems, by its song."""
    made: dict[Path, Job] = {}
    for job in session.store.list([JobState.DONE]) if session.has_store else ():
        if job.stems:
            made.setdefault(job.source.path, job)
    return made


def _bring(
    plugin: Host, lib: Library, item: Item, place: StemsPlace, old: Path, *, is_pretended: bool, is_quiet: bool
) -> None:
    """Let the stems of a song come to it from where it was."""
    if not is_pretended:
        plugin.bring_stems(item, os.fsencode(old), bytes(item.path), "move")
        item.store()
        # As beets does after a move.
        prune_dirs(os.fsencode(old.parent), lib.directory)
    new = read_place(item) or place
    if not is_quiet:
        told = f"stems left in {show_path(place.folder)}"
        ui.print_(f"{name_item(item)}: {told}" + (f", now {show_path(new.folder)}" if new != place else ""))


def _adopt(session: Session, item: Item, job: Job | None, claims: Claims) -> str:
    """Set the fields from stems that stand, those of a job of any host first; whoever calls stores the item."""
    if job is None or not stands(job):
        return _adopt_found(item, claims)
    # Those of another recording, which was here before, stay nobody's.
    place = StemsPlace(job.stems[0].path.parent, tuple(stem.path for stem in job.stems))
    return "" if is_replaced(session, item, place, job) else stems_command.put_stems(item, job)


def _adopt_found(item: Item, claims: Claims) -> str:
    """Set the fields from stems that stand beside a song and belong to no other; whoever calls stores the item."""
    place = find_unclaimed(path_of(item), item, claims)
    if place is None:
        return ""
    write_place(item, place)
    item["stems"] = _name_stems(path_of(item), place)
    return ", ".join(item["stems"])


def _name_stems(song: Path, place: StemsPlace) -> list[str]:
    """Return the names of stems by those of their files: what follows the song's own name."""
    own = MovedSong(song, Path(song.with_name("x")))
    return [
        canonical(own.rename(file.stem).removeprefix("x").lstrip(" -_") or file.stem)
        for file in place.files
        if file.suffix.lower() in AUDIO_SUFFIXES
    ]


def prune(plugin: Host, *, is_quiet: bool) -> None:
    """Let the core forget old jobs, and remove what killed runs left."""
    with Session(core_settings(plugin.config)) as session:
        count = session.prune(_MONTH) if session.has_store else 0
    if not is_quiet:
        ui.print_(f"{plural(count, 'job')} forgotten; stems and labels stay")
