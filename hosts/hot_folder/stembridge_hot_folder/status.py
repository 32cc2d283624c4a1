"""``watch status`` and ``watch retry``: what the ledger knows, and the user's word to do something again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from plugin_core.console.context import Context
from plugin_core.console.formatting import clean, encodable, plural, show
from plugin_core.console.json_lines import describe_count, write_record
from plugin_core.errors import ExitCode, UsageError
from plugin_core.model import show_path
from stembridge_hot_folder.display import shorten
from stembridge_hot_folder.files import read_identity
from stembridge_hot_folder.ledger import LEDGER_NAME, Line, Row, SongLedger, SongState
from stembridge_hot_folder.lock import is_watched

_TOLD: Final = (
    *(SongState.WORKING, SongState.WAITING, SongState.MOVING, SongState.RETRY, SongState.UNCONFIRMED, SongState.FAILED),
)
_MOST: Final = 200
"""Songs that people are told of one by one, the latest first."""


def show_status(context: Context, folders: Sequence[Path], *, as_json: bool) -> int:
    """Show counts and what needs a look; exit code 1 when something failed, 4 when something is unconfirmed."""
    path = context.settings.home / LEDGER_NAME
    if not path.exists():
        return _say_nothing(as_json=as_json)
    with SongLedger(path) as ledger:
        roots = [os.fsencode(folder.expanduser().resolve()) for folder in folders] or ledger.roots()
        counts = [_show_root(ledger, root, as_json=as_json) for root in roots]
    if not roots:
        return _say_nothing(as_json=as_json)
    failed = sum(count[SongState.FAILED] for count in counts)
    unconfirmed = sum(count[SongState.UNCONFIRMED] for count in counts)
    code = ExitCode.UNCONFIRMED if unconfirmed else ExitCode.FAILED if failed else ExitCode.DONE
    if as_json:
        write_record(describe_count(len(roots), code))
    return int(code)


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
                write_record({"event": "song", "state": "retry", "source": _path(row), "reason": ""})
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


def _show_root(ledger: SongLedger, root: bytes, *, as_json: bool) -> dict[SongState, int]:
    known = ledger.counts(root)
    folder = Path(os.fsdecode(root))
    watched = is_watched(root)
    line = ledger.line(root) if watched else Line()
    # Of those that wait only some were tried, and have a row.
    counts = known | {SongState.WAITING: max(known[SongState.WAITING], line.waiting)}
    rows = list(ledger.list(_TOLD, root=root, limit=-1 if as_json else _MOST))
    if as_json:
        write_record({"event": "folder", "path": folder, "watched": watched, "songs": _name(line, counts)})
        for row in rows:
            write_record(
                {"event": "song", "state": row.state.value, "source": _path(row), "reason": encodable(row.reason)}
                | {"jobs": list(row.jobs), "updated": row.updated}
            )
        return counts
    words = ", ".join(f"{count} {name}" for name, count in _name(line, counts).items() if count) or "no song yet"
    click.echo(f"{show_path(folder)} ({'watched' if watched else 'not watched now'}): {words}")
    for row in rows:
        reason = shorten(row.reason, _path(row))
        click.echo(clean(f"  {row.state:<12}{show(_path(row))}{f': {reason}' if reason else ''}"))
    if more := sum(known[state] for state in _TOLD) - len(rows):
        click.echo(f"  and {more} more; all of them: stembridge watch status --json")
    return counts


def _name(line: Line, counts: Mapping[SongState, int]) -> dict[str, int]:
    """Return how many songs are where, by name."""
    return {"settling": line.settling, "queued": line.queued} | {state.value: counts[state] for state in counts}


def _say_nothing(*, as_json: bool) -> int:
    if as_json:
        write_record(describe_count(0))
    else:
        click.echo("no folder was watched yet; start with: stembridge watch DIR")
    return int(ExitCode.DONE)


def _path(row: Row) -> Path:
    return Path(os.fsdecode(row.path))
