"""``stembridge ui``: from the words of the command to a page that is served until it is stopped."""

from __future__ import annotations

import asyncio
import threading
import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from plugin_core import JobSet
from plugin_core.console.context import Context
from plugin_core.console.display import describe_left
from plugin_core.console.groups import examples
from plugin_core.console.interrupt import stop_on_signals
from plugin_core.errors import SettingsError, install_hint
from plugin_core.model import JobState
from plugin_core.tasks import start

if TYPE_CHECKING:
    from plugin_core.session import Session

INSTALL = install_hint("ui")


@examples("stembridge ui", "stembridge ui --port 8080 --no-browser")
@click.command("ui")
@click.option(
    "--port", default=0, show_default="any that is free", type=click.IntRange(0, 65535), help="Where to listen."
)
@click.option("--no-browser", is_flag=True, help="Only print the link.")
@click.pass_obj
def command(context: Context, port: int, no_browser: bool) -> int:
    """Hear stems, see jobs and start new ones in a browser.

    Prints a link that works once, on this machine only, and serves the page until Ctrl-C. Each link that was used is
    followed by a new one, for another browser.
    """
    with context.session(is_paying=True) as session:
        left = asyncio.run(_serve(session, port, opens=not no_browser))
        told = describe_left(left, has_workers=session.store.paths.is_shared)
    if told and not context.quiet:
        click.echo(told)
    return 0


async def _serve(session: Session, port: int, *, opens: bool) -> int:
    """Serve the page until a signal; return how many jobs of its own are not finished."""
    try:
        from stembridge_ui.door import open_socket, serve
        from stembridge_ui.page import Page
    except ImportError as error:
        raise SettingsError("the page needs starlette and uvicorn, which are not installed", remedy=INSTALL) from error
    work, stop = JobSet(), asyncio.Event()
    page = Page(session, work)
    listener = open_socket(port)
    try:
        with stop_on_signals(stop, page.close):
            door = page.behind_door(listener.getsockname()[1], lambda link: click.echo(f"for another browser: {link}"))
            click.echo(door.link)
            if opens:
                # A browser of the terminal comes back when it is left; nobody waits for that.
                threading.Thread(target=_open_browser, args=(door.link,), daemon=True).start()
            # What an earlier page began is gone on with.
            for job in session.store.list(states=[state for state in JobState if state.is_active]):
                if job.host == "ui":
                    work.add(job.id)
            working = start(session.serve(work, on_change=page.board.hear, stop=stop))
            working.add_done_callback(lambda _: stop.set())
            await serve(door, listener, stop)
            await working
    finally:
        page.close()
        listener.close()
    return count_left(session, work)


def count_left(session: Session, work: JobSet) -> int:
    """Return how many jobs are not finished; some may have ended with another page of this home, or be pruned."""
    found = (session.store.find(job_id) for job_id in work.ids)
    return sum(job is not None and job.state.is_active for job in found)


def _open_browser(link: str) -> None:
    # Without one there is still the link.
    with suppress(webbrowser.Error):
        webbrowser.open(link)
