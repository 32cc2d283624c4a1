"""``watch status`` and ``watch retry``: what the ledger knows, and the user's word to do something again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from plugin_core import PurchaseState
from plugin_core.console.context import Context
from plugin_core.console.json_lines import describe_count, write_record
from plugin_core.console.phrases import clean, describe_place, describe_problem, encodable, percent, plural, show
from plugin_core.errors import ExitCode, UsageError
from plugin_core.model import Job, count_credits, show_path
from plugin_core.session import Session
from stembridge_hot_folder.display import shorten, write_event
from stembridge_hot_folder.files import path_of, read_identity, shown
from stembridge_hot_folder.ledger import LEDGER_NAME, OPEN, Day, InLine, Row, SongLedger, SongState
from stembridge_hot_folder.lock import is_watched
from stembridge_hot_folder.scan import is_below

_MOST: Final = 200
"""Songs that people are told of one by one."""
_DAYS: Final = 14
"""Days that people are told of; programs of a year."""
_YEAR: Final = 366
_ORDER: Final = (
    *("working", "moving", "waiting", "settling", "queued", "held", "retry"),
    *("unconfirmed", "failed", "skipped", "done"),
)
_ENDS: Final = (SongState.UNCONFIRMED, SongState.FAILED, SongState.SKIPPED)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a song stands, and why."""

    path: bytes
    state: str
    reason: str = ""
    behind: int | None = None
    """How many are taken before it, of one that is queued."""
    row: Row | None = None


class Cost(msgspec.Struct, kw_only=True):
    """What was bought for the songs of a folder on a day, of one provider."""

    provider: str
    tracks: int = 0
    credits: float | None = None
    """Of those whose price is known; None where none is."""


def show_status(context: Context, folders: Sequence[Path], *, as_json: bool) -> int:
    """Show every song and why it is where it is; exit code 1 when something failed, 4 when something is unconfirmed."""
    path = context.settings.home / LEDGER_NAME
    if not path.exists():
        return _say_nothing(as_json=as_json)
    with SongLedger(path) as ledger, context.session() as session:
        roots = [os.fsencode(folder.expanduser().resolve()) for folder in folders] or ledger.roots()
        views = [FolderView(ledger, session, root) for root in roots]
        for view in views:
            if as_json:
                view.write()
            else:
                view.show()
        counts = [view.counts for view in views]
    if not roots:
        return _say_nothing(as_json=as_json)
    failed = sum(count["failed"] for count in counts)
    unconfirmed = sum(count["unconfirmed"] for count in counts)
    code = ExitCode.UNCONFIRMED if unconfirmed else ExitCode.FAILED if failed else ExitCode.DONE
    if as_json:
        write_record(describe_count(len(roots), code))
    return int(code)


class FolderView:
    """What is known of one folder: by the ledger, by the watch if it runs, and of money by the core.

    Args:
        ledger: what was done, and what stands in line.
        session: knows how far jobs are, and what was bought.
        root: the folder.
    """

    def __init__(self, ledger: SongLedger, session: Session, root: bytes) -> None:
        self._ledger = ledger
        self._session = session
        self._root = root
        self.is_watched = is_watched(root)
        self._paused = ledger.paused().get(root, 0.0)
        """When it was paused; 0: it is not."""
        # What stood in line when a watch was killed stands there no more.
        line = ledger.line(root) if self.is_watched else {}
        rows = {row.path: row for row in ledger.list(OPEN, root=root)}
        songs = [self._merge(path, one, rows.pop(path, None)) for path, one in line.items()]
        songs += [
            Standing(path=row.path, state=row.state.value, reason=self._why(row), row=row) for row in rows.values()
        ]
        behind = count()
        self.songs = [
            msgspec.structs.replace(one, behind=next(behind)) if one.state == "queued" else one
            for one in sorted(songs, key=lambda one: _ORDER.index(one.state))
        ]
        """Those something is left to do for, in the order of their states, the queued as they are taken."""
        known = ledger.counts(root)
        open_ = Counter(one.state for one in self.songs)
        ended = {state.value: known[state] for state in (SongState.DONE, *_ENDS)}
        self.counts = {state: open_[state] for state in _ORDER} | ended

    def show(self) -> None:
        """Show it to people."""
        words = ", ".join(f"{number} {state}" for state, number in self.counts.items() if number) or "no song yet"
        where = shown(self._root)
        state = "watched" if self.is_watched else "not watched now"
        if self._paused:
            state += f", paused since {datetime.fromtimestamp(self._paused).astimezone():%Y-%m-%d %H:%M}"
        click.echo(f"{where} ({state}): {words}")
        told = self.songs[:_MOST]
        ended = list(self._ledger.list(_ENDS, root=self._root, limit=_MOST - len(told)))
        for one in [*told, *map(_of_row, sorted(ended, key=lambda row: _ORDER.index(row.state.value)))]:
            reason = shorten(_describe(one), path_of(one.path))
            click.echo(clean(f"  {one.state:<12}{show(path_of(one.path))}{f': {reason}' if reason else ''}"))
        if more := len(self.songs) + sum(self.counts[state.value] for state in _ENDS) - len(told) - len(ended):
            click.echo(f"  and {more} more; all of them: stembridge watch status --json")
        for day, costs in self._list_days(_DAYS):
            words = ", ".join(f"{number} {state}" for state, number in day.songs.items())
            spent = "".join(f"; {_describe_cost(cost)}" for cost in costs)
            click.echo(f"  {day.day}  {words or 'nothing done'}{spent}")

    def write(self) -> None:
        """Write it for programs."""
        root = path_of(self._root)
        is_paused = bool(self._paused)
        told = {"event": "folder", "path": root, "watched": self.is_watched, "paused": is_paused, "songs": self.counts}
        write_record(told)
        for one in self.songs:
            write_record(_event_of(one))
        for row in self._ledger.list((*_ENDS, SongState.DONE), root=self._root):
            write_record(_event_of(_of_row(row)))
        for day, costs in self._list_days(_YEAR):
            write_record({"event": "day", "folder": root, "day": day.day, "songs": day.songs, "costs": costs})

    def _merge(self, path: bytes, one: InLine, row: Row | None) -> Standing:
        """Put together what the watch says of a song and what the ledger does."""
        state, reason = one.state, one.reason
        if row is not None and row.state is SongState.MOVING:
            state = row.state.value
        elif row is not None and state == "working":
            reason = reason or self._why(row)
        return Standing(path=path, state=state, reason=reason or (row.reason if row else ""), row=row)

    def _why(self, row: Row) -> str:
        """Return what is left to do for a song, or why it waits."""
        if row.reason or row.state is not SongState.WORKING:
            return row.reason
        jobs = self._session.store.find_all(row.jobs)
        return "; ".join(_describe_job(job) for job in jobs)

    def _list_days(self, most: int) -> list[tuple[Day, list[Cost]]]:
        """Return what came to an end and what was bought, by day, the latest first."""
        days = {day.day: day for day in self._ledger.history(self._root, most)}
        costs = self._list_costs(min(days)) if days else {}
        told = sorted({*days, *costs}, reverse=True)[:most]
        return [(days.get(day) or Day(day=day, songs={}), list(costs.get(day, {}).values())) for day in told]

    def _list_costs(self, first: str) -> dict[str, dict[str, Cost]]:
        since = datetime.fromisoformat(first).astimezone().timestamp()
        found: dict[str, dict[str, Cost]] = {}
        for purchase in self._session.store.purchases.list(since=since):
            if purchase.state is PurchaseState.CANCELLED or not is_below(os.fsencode(purchase.song), self._root):
                continue
            day = datetime.fromtimestamp(purchase.created).astimezone().date().isoformat()
            cost = found.setdefault(day, {}).setdefault(purchase.provider, Cost(provider=purchase.provider))
            cost.tracks += 1
            if (price := purchase.quote.credits) is not None:
                cost.credits = (cost.credits or 0.0) + price
        return found


def _of_row(row: Row) -> Standing:
    return Standing(path=row.path, state=row.state.value, reason=row.reason, row=row)


def _describe_job(job: Job) -> str:
    """Say what a job waits for, else how far it is."""
    if job.problem is not None:
        return describe_problem(job)
    share = percent(job.progress.fraction) if job.progress is not None else ""
    return ", ".join(word for word in (job.state.value, share, describe_place(job)) if word)


def _describe(one: Standing) -> str:
    if one.behind is None:
        return one.reason
    return f"behind {one.behind}" if one.behind else "next"


def _describe_cost(cost: Cost) -> str:
    price = "" if cost.credits is None else f", {count_credits(cost.credits)}"
    return f"{plural(cost.tracks, 'track')} bought at {cost.provider}{price}"


def _event_of(one: Standing) -> dict[str, Any]:
    row = one.row
    place = path_of(row.place) if row is not None and row.place else None
    return {
        "event": "song",
        "state": one.state,
        "source": path_of(one.path),
        "reason": encodable(one.reason),
        "behind": one.behind,
        "place": place,
        "jobs": list(row.jobs) if row is not None else [],
        "updated": row.updated if row is not None else None,
    }


def pause_folders(context: Context, folders: Sequence[Path], *, is_paused: bool, as_json: bool) -> int:
    """Let folders be paused, or go on; the watch that runs obeys, and so does every later one.

    Raises:
        UsageError: a folder that is none.
    """
    path = context.settings.home / LEDGER_NAME
    if not path.exists() and not (is_paused and folders):
        # A home that is away must not be made anew.
        return _say_nothing(as_json=as_json)
    with SongLedger(path) as ledger:
        known = ledger.roots()
        roots = [os.fsencode(folder.expanduser().resolve()) for folder in folders] or known
        for root in roots:
            # One whose disk is away may be paused, if it was watched before.
            if root not in known and not path_of(root).is_dir():
                raise UsageError(f"no such folder: {shown(root)}")
        for root in roots:
            ledger.pause(root, is_paused=is_paused)
    if not roots:
        return _say_nothing(as_json=as_json)
    for root in roots:
        watched = is_watched(root)
        if as_json:
            write_record({"event": "pause", "path": path_of(root), "watched": watched, "paused": is_paused})
        elif not context.quiet:
            then = "" if watched else ", from when it is watched again"
            click.echo(f"{shown(root)}: {'paused' if is_paused else 'going on'}{then}")
    if as_json:
        write_record(describe_count(len(roots)))
    return int(ExitCode.DONE)


def retry_songs(context: Context, files: Sequence[Path], *, failed: bool, as_json: bool, force: bool = False) -> int:
    """Mark songs to be done again.

    Args:
        context: settings and plugins.
        files: the songs.
        failed: whether all that failed are meant too.
        as_json: whether to write events for programs.
        force: the user's word that what failed may be bought again if it is not to be had.

    Raises:
        UsageError: a file that is not there.
    """
    with SongLedger(context.settings.home / LEDGER_NAME) as ledger:
        rows = [_row_of(ledger, file) for file in files]
        if failed:
            rows += [row for row in ledger.list([SongState.FAILED]) if os.path.lexists(row.path)]
        for row in rows:
            may_buy = force or _is_wish_for_another(row)
            ledger.put(msgspec.structs.replace(row, state=SongState.RETRY, reason="", place=b"", force=may_buy))
            if as_json:
                write_event({"event": "song", "state": "retry", "source": path_of(row.path), "reason": ""})
    if as_json:
        write_record(describe_count(len(rows)))
    elif not rows and not context.quiet:
        click.echo("no song failed")
    elif not context.quiet:
        running = {row.root for row in rows if is_watched(row.root)}
        idle = len({row.root for row in rows} - running)
        when = "when its folder is watched again" if idle else "now"
        click.echo(f"{plural(len(rows), 'song')} to be done again, {when}")
    return int(ExitCode.DONE)


def _is_wish_for_another(row: Row) -> bool:
    """Tell whether doing a song again asks for another result than the one it has, which may cost as much."""
    if row.state is SongState.RETRY:
        return row.force
    # One that was passed over with jobs of its own has had them cancelled.
    return row.state is SongState.DONE or (row.state is SongState.SKIPPED and not row.jobs)


def _row_of(ledger: SongLedger, file: Path) -> Row:
    absolute = file.expanduser().absolute()
    path = os.fsencode(absolute.parent.resolve() / absolute.name)
    identity = read_identity(path)
    if identity is None:
        raise UsageError(f"no such file: {show_path(file)}")
    row = ledger.get(path)
    if row is None:
        raise UsageError(
            f"{show_path(file)} was never taken from a hot folder", remedy="watch its folder, or use: stembridge run"
        )
    # A share's identities have no device and inode; a version that changed since gets jobs of its own.
    if row.identity.device == 0:
        identity = identity._replace(device=0, inode=0)
    return row if identity == row.identity else msgspec.structs.replace(row, identity=identity, jobs=())


def _say_nothing(*, as_json: bool) -> int:
    if as_json:
        write_record(describe_count(0))
    else:
        click.echo("no folder was watched yet; start with: stembridge watch DIR")
    return int(ExitCode.DONE)
