"""Single jobs at MVSEP, by their hash there."""

from __future__ import annotations

import click

from plugin_core.console.answers import confirm, number, show_one, tell
from plugin_core.console.context import Context
from plugin_core.console.options import JSON_OPTION
from plugin_core.errors import ServiceError, UsageError
from plugin_core.model import JobState
from plugin_core.providers.mvsep.commands.account import ask
from plugin_core.providers.mvsep.job_calls import JobAnswer, Phase

HASH = click.argument("job_hash", metavar="HASH")
YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


@click.command("status")
@HASH
@JSON_OPTION
@click.pass_obj
def status(context: Context, job_hash: str, as_json: bool) -> int:
    """Show how far a job is, and its results."""
    origin = _origin(context, job_hash)
    answer = ask(context, lambda client: client.get(job_hash, origin=origin))
    if answer.phase is Phase.MISSING and not as_json:
        raise ServiceError(f"MVSEP does not know job {job_hash}: {answer.message or answer.status}")
    code = int(answer.phase is Phase.MISSING)
    show_one("mvsep_job", answer, lambda: _lines(answer), as_json=as_json, exit_code=code)
    return code


def _lines(answer: JobAnswer) -> dict[str, str]:
    queue = "" if answer.current_order is None else f"{answer.current_order} of {number(answer.queue_count)}"
    parts = "" if answer.all_chunks is None else f"{number(answer.finished_chunks)} of {answer.all_chunks}"
    files = {f"{file.type or 'file'}": file.url for file in answer.files}
    return {
        "status": answer.status,
        "message": answer.message,
        "model": answer.algorithm,
        "queue": queue,
        "parts": parts,
        "format": answer.output_format,
        "date": answer.date,
        **files,
    }


@click.command("cancel")
@HASH
@JSON_OPTION
@click.pass_obj
def cancel(context: Context, job_hash: str, as_json: bool) -> None:
    """Cancel a job that still waits; its credits come back."""
    _refuse_own(context, job_hash, "cancel")
    origin = _origin(context, job_hash)
    notice = ask(context, lambda client: client.cancel(job_hash, origin=origin))
    tell(context, "cancelled", f"{job_hash} cancelled", notice.message, as_json=as_json, hash=job_hash)


@click.command("delete")
@HASH
@YES
@JSON_OPTION
@click.pass_obj
def delete(context: Context, job_hash: str, yes: bool, as_json: bool) -> None:
    """Remove a job and its files from MVSEP."""
    _refuse_own(context, job_hash, "cancel")
    confirm(f"Remove {job_hash} and its files from MVSEP?", yes=yes)
    origin = _origin(context, job_hash)
    notice = ask(context, lambda client: client.delete(job_hash, origin=origin))
    tell(context, "deleted", f"{job_hash} deleted", notice.message, as_json=as_json, hash=job_hash)


def _origin(context: Context, job_hash: str) -> str:
    """Return the host a job of ours lives on; "" lets the configured one answer."""
    with context.session() as session:
        jobs = (job for job in session.store.list() if job.operation.provider == "mvsep" and job.ticket is not None)
        found = (job.ticket.origin for job in jobs if job.ticket is not None and job.ticket.remote_id == job_hash)
        return next(found, "")


def _refuse_own(context: Context, job_hash: str, verb: str) -> None:
    """Keep a job that stembridge still works on from being ended behind its back.

    Raises:
        UsageError: it is one; the message says how to end it.
    """
    with context.session() as session:
        active = session.store.list(states=[state for state in JobState if state.is_active])
    for job in active:
        if job.ticket is not None and job.ticket.remote_id == job_hash:
            raise UsageError(f"stembridge works on {job_hash}", remedy=f"use `stembridge jobs {verb} {job.id}`")
