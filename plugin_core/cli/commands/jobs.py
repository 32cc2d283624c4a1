"""``stembridge jobs`` and ``worker``: what was asked for, how it stands, what to do about it, and who works on it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection

import click

from plugin_core.cli.request import Batch
from plugin_core.console.context import Context, choose_display
from plugin_core.console.display import Display, Summary
from plugin_core.console.groups import examples, group
from plugin_core.console.interrupt import stop_on_signals
from plugin_core.console.json_lines import describe_count, describe_job, describe_job_fully, write_record
from plugin_core.console.options import JSON_OPTION
from plugin_core.console.phrases import clean, describe_problem, parse_span, plural, show
from plugin_core.console.tables import show_job, show_jobs
from plugin_core.errors import ExitCode, suggest
from plugin_core.jobs.policy import Reach
from plugin_core.model import Job, JobState
from plugin_core.session import Session
from plugin_core.stores import migrate_store

NEIGHBOURS = 1000
ACTIVE = tuple(state for state in JobState if state.is_active)
UNFINISHED = (*ACTIVE, JobState.UNCONFIRMED)


@examples("stembridge jobs", "stembridge jobs resume")
@group(name="jobs", invoke_without_command=True)
@JSON_OPTION
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List, show, resume, cancel, retry or forget jobs; without a command, list them.

    An id may be shortened as long as it is the only one that begins so.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_jobs, as_json=as_json)
    elif as_json:
        # Said before the sub-command it means the same as after it.
        ctx.default_map = {name: {"as_json": True} for name in command.commands}


@examples("stembridge jobs list --state failed --limit 10")
@command.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="STATE",
    type=click.Choice([*(state.value for state in JobState), "active"]),
    help="Only jobs in this state, or active; repeat.",
)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many, newest first.")
@JSON_OPTION
@click.pass_obj
def list_jobs(context: Context, states: tuple[str, ...] = (), limit: int = 50, as_json: bool = False) -> None:
    """List jobs, newest first."""
    wanted = {state for word in states for state in (ACTIVE if word == "active" else (JobState(word),))}
    with context.session() as session:
        jobs = session.store.list(states=sorted(wanted) or None, limit=limit)
        total = sum(session.store.counts().values())
        # What is shown of an id must do for "jobs show", also beside jobs that are filtered out.
        known = {job.id for job in (*jobs, *session.store.list(limit=max(limit + 1, NEIGHBOURS)))}
    if as_json:
        for job in jobs:
            write_record(describe_job_fully(job))
        write_record(describe_count(len(jobs)))
        return
    show_jobs(jobs, known, now=time.time())
    if not wanted and total > len(jobs):
        click.echo(f"{total - len(jobs)} more: --limit {total}")


@examples("stembridge jobs show 0192f4c1")
@command.command("show")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@JSON_OPTION
@click.pass_obj
def show_one(context: Context, ids: tuple[str, ...], as_json: bool) -> None:
    """Show all that is known of a job."""
    with context.session() as session:
        for job in [session.store.get(job_id) for job_id in ids]:
            if as_json:
                write_record(describe_job_fully(job))
            else:
                show_job(job, now=time.time())
    if as_json:
        write_record(describe_count(len(ids)))


@examples("stembridge jobs resume", "stembridge jobs resume 0192f4c1")
@command.command("resume")
@click.argument("ids", metavar="[ID...]", nargs=-1)
@JSON_OPTION
@click.pass_obj
def resume(context: Context, ids: tuple[str, ...], as_json: bool) -> int:
    """Go on now with jobs that are not finished; default all of them.

    An unconfirmed job is looked for at its service; nothing is bought again.
    """
    with context.session(is_paying=True) as session:
        jobs = [session.store.get(job_id) for job_id in ids] if ids else session.store.list(states=UNFINISHED)
        return _work(context, session, [job.id for job in jobs], as_json=as_json)


@examples("stembridge jobs cancel 0192f4c1")
@command.command("cancel")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@JSON_OPTION
@click.pass_obj
def cancel(context: Context, ids: tuple[str, ...], as_json: bool) -> int:
    """Cancel jobs, at their service first."""
    with context.session() as session:
        chosen = [session.store.get(job_id) for job_id in ids]
        ended = []
        for job in chosen:
            ended.append(asyncio.run(session.cancel(job.id)))
            if as_json:
                write_record(describe_job(ended[-1]))
            elif not context.quiet:
                told = clean(describe_problem(ended[-1]))
                click.echo(f"{show(job.source.path)}: {ended[-1].state}{f', {told}' if told else ''}")
    code = 0 if all(job.state is JobState.CANCELLED for job in ended) else 1
    if as_json:
        write_record(describe_count(len(ended), code))
    return code


@examples("stembridge jobs retry 0192f4c1 --no-run")
@command.command("retry")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--no-run", is_flag=True, help="Only queue them: stembridge jobs resume.")
@click.option("--force", is_flag=True, help="Buy again what is not to be had any more.")
@JSON_OPTION
@click.pass_obj
def retry(context: Context, ids: tuple[str, ...], no_run: bool, force: bool, as_json: bool) -> int:
    """Try failed, cancelled or unconfirmed jobs again.

    What their service has, or may have, is looked for first. A job that is not to be had is bought again with --force,
    or after a question on a terminal; otherwise it stays as it is.
    """
    with context.session(is_paying=True) as session:
        chosen = [session.store.get(job_id) for job_id in ids]
        queued = [session.retry(job.id, force=force) for job in chosen]
        if not no_run:
            return _work(context, session, [job.id for job in queued], as_json=as_json)
        for job in queued:
            if as_json:
                write_record(describe_job(job))
            elif not context.quiet:
                click.echo(f"{show(job.source.path)}: {job.state}")
    if as_json:
        write_record(describe_count(len(queued)))
    return 0


@examples("stembridge jobs prune --older-than 12w")
@command.command("prune")
@click.option(
    "--older-than",
    "seconds",
    default="30d",
    show_default=True,
    metavar="TIME",
    callback=lambda _ctx, _param, text: parse_span(text),
    help="Such as 30d, 12h or 2w.",
)
@JSON_OPTION
@click.pass_obj
def prune(context: Context, seconds: float, as_json: bool) -> None:
    """Forget old jobs that are done, failed or cancelled; their stems stay.

    What killed runs left hidden beside songs and in stembridge's own folder goes, too.
    """
    with context.session() as session:
        count = session.prune(seconds)
    if as_json:
        write_record({"event": "pruned", "jobs": count})
        write_record(describe_count(count, ExitCode.DONE))
    elif not context.quiet:
        click.echo(f"{plural(count, 'job')} forgotten")


@examples("stembridge jobs migrate postgresql")
@command.command("migrate")
@click.argument("target", type=click.Choice(["postgresql", "sqlite"]))
@JSON_OPTION
@click.pass_obj
def migrate(context: Context, target: str, as_json: bool) -> None:
    """Move all jobs and purchases to the database that [jobs] database names, or back to a file in stembridge's folder.

    What arrived is compared with what was sent; one that was broken off goes on where it was.
    """
    counts = migrate_store(context.settings, is_shared=target == "postgresql")
    if as_json:
        write_record({"event": "migrated", "jobs": counts["jobs"], "purchases": counts["purchases"]})
        write_record(describe_count(counts["jobs"], ExitCode.DONE))
    elif not context.quiet:
        click.echo(f"{plural(counts['jobs'], 'job')} and {plural(counts['purchases'], 'purchase')} moved")


def _work(context: Context, session: Session, ids: Collection[str], *, as_json: bool) -> int:
    with choose_display(as_json=as_json, quiet=context.quiet) as display:
        if not ids:
            display.say("no job is unfinished")

        async def work() -> Summary:
            return await Batch(session, display).resume(ids)

        summary = asyncio.run(work())
        display.finish(summary)
    return summary.exit_code


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
def worker(context: Context, concurrency: int, reach: Reach, as_json: bool) -> int:
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
        asyncio.run(_serve(session, reach, concurrency, display, hear))
    display.finish(Summary(**ends, seconds=round(time.monotonic() - began, 3)))
    return 0


async def _serve(
    session: Session, reach: Reach, concurrency: int, display: Display, hear: Callable[[Job, Job | None], None]
) -> None:
    stop, paths = asyncio.Event(), session.store.paths
    seen = f" on songs in {', '.join(paths.names)}" if paths.is_shared else ""
    with stop_on_signals(stop, lambda: display.say("ending: what is begun is let go of")):
        display.say(f"working{seen}; Ctrl-C ends it")
        await session.workshop.work(reach, concurrency, on_change=hear, stop=stop)
