"""``beet stembridge``: what is left to be done, and doing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beets import ui

from stembridge_beets import todo
from stembridge_beets.errors import UserError
from stembridge_beets.finishing import finish
from stembridge_beets.running import Run, end
from stembridge_beets.tasks import name_item

if TYPE_CHECKING:
    from beets.library import Library
    from beetsplug.stembridge import StembridgePlugin


def run_own(plugin: StembridgePlugin, lib: Library, args: Sequence[str], *, is_quiet: bool) -> None:
    """Do what ``beet stembridge`` was asked.

    Raises:
        UserError: an unknown word, or not everything could be finished.
    """
    match list(args):
        case ["resume"]:
            resume(plugin, lib, is_quiet=is_quiet)
        case [] | ["status"]:
            show(lib)
        case _:
            raise UserError(f"beet stembridge {' '.join(args)}: there are resume and status")


def show(lib: Library) -> None:
    """List the songs with work left."""
    found = [(kind, item) for kind in todo.FIELDS for item, _ in todo.find_marked(lib, kind)]
    for kind, item in found:
        ui.print_(f"{kind}: {name_item(item)}")
    if not found:
        ui.print_("nothing is left to be done")


def resume(plugin: StembridgePlugin, lib: Library, *, is_quiet: bool) -> None:
    """Finish what was interrupted.

    Raises:
        UserError: some of it cannot be finished now.
    """
    runs: list[Run] = []
    for kind in todo.FIELDS:
        runs.append(finish(plugin, lib, kind, todo.find_marked(lib, kind), is_quiet=is_quiet))
        if runs[-1].is_interrupted:
            break
    if not any(run.done or run.failed or run.left for run in runs) and not is_quiet:
        ui.print_("nothing is left to be done")
    end(lib, runs)
