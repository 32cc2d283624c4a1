"""``stembridge worker``: work on the jobs of the store, whoever added them, until it is told to end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from plugin_core.console.context import Context
from plugin_core.console.display import Display, Summary
from plugin_core.console.groups import examples
from plugin_core.console.interrupt import stop_on_signals
from plugin_core.console.options import JSON_OPTION
from plugin_core.errors import suggest
from plugin_core.jobs.policy import Reach
from plugin_core.model import Job, JobState

if TYPE_CHECKING:
    from plugin_core.session import Session

STEPS = {
    "submit": (JobState.QUEUED, JobState.SUBMITTING),
    "poll": (JobState.RUNNING,),
    "fetch": (JobState.FETCHING,),
    "publish": (JobState.PUBLISHING,),
}
LOCAL = "local"


def read_only(ctx: click.Context, param: click.Parameter, value: str | None) -> Reach:
    """Turn "submit,poll" or "local" into what a worker does."""
    if value is None:
        return Reach()
    words = [word.strip() for word in value.split(",") if word.strip()]
    known = (*STEPS, LOCAL)
    for word in words:
        if word not in known:
            hint = suggest(word, known, f" (there are {', '.join(known)})", lead=", ")
            raise click.BadParameter(f"{word!r} is nothing that a worker does{hint}", ctx, param)
    if not words:
        raise click.BadParameter(f"name some of {', '.join(known)}", ctx, param)
    return Reach(states=tuple(state for word in words for state in STEPS.get(word, ())), is_local=LOCAL in words)


@examples("stembridge worker", "stembridge worker --only submit,poll", "stembridge worker --only local --concurrency 2")
@click.command("worker")
@click.option(
    "--concurrency", default=32, show_default=True, type=click.IntRange(1, 1000), help="Steps at the same time."
)
@click.option(
    "--only",
    "reach",
    metavar="STEPS",
    callback=read_only,
    help="Of jobs at services submit, poll, fetch or publish; local for engines on this machine. Several with commas.",
)
@JSON_OPTION
@click.pass_obj
def command(context: Context, concurrency: int, reach: Reach, as_json: bool) -> int:
    """Work on the jobs of the store, whoever added them, until Ctrl-C or SIGTERM.

    Any number may run, on any number of machines where the store is a database ([jobs] database) and folders have
    names ([paths]); there every other command only adds jobs and follows them. Songs that this machine does not see
    are left to workers that do. What is begun when it is told to end goes on elsewhere, or with the next one.
    """
    from plugin_core.console.display import PlainDisplay
    from plugin_core.console.json_lines import JsonDisplay

    began, ends = time.monotonic(), Counter[str]()
    display: Display = JsonDisplay() if as_json else PlainDisplay(quiet=context.quiet)

    def hear(job: Job, previous: Job | None) -> None:
        display.change(job, previous)
        if job.state.is_settled and (previous is None or previous.state is not job.state):
            ends[job.state.value] += 1

    with context.session(is_paying=True) as session:
        asyncio.run(_work(session, reach, concurrency, display, hear))
    display.finish(Summary(**ends, seconds=round(time.monotonic() - began, 3)))
    return 0


async def _work(
    session: Session, reach: Reach, concurrency: int, display: Display, hear: Callable[[Job, Job | None], None]
) -> None:
    stop, paths = asyncio.Event(), session.store.paths
    seen = f" on songs in {', '.join(paths.names)}" if paths.is_shared else ""
    with stop_on_signals(stop, lambda: display.say("ending: what is begun is let go of")):
        display.say(f"working{seen}; Ctrl-C ends it")
        await session.workshop.work(reach, concurrency, on_change=hear, stop=stop)
