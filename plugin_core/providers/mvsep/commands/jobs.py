"""Single jobs at MVSEP, by their hash there."""

from __future__ import annotations

import click
import msgspec

from plugin_core.console.answers import confirm, number, show_one, tell
from plugin_core.console.context import Context
from plugin_core.console.options import JSON_OPTION
from plugin_core.errors import ServiceError, UsageError
from plugin_core.model import JobState
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.commands.account import ask
from plugin_core.providers.mvsep.hashes import is_real_hash
from plugin_core.providers.mvsep.job_calls import JobAnswer, Phase

HASH = click.argument("job_hash", metavar="HASH")
YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


@click.command("status")
@HASH
@click.option("--mirror", is_flag=True, help="Give links to results at MVSEP's mirror, for one credit.")
@YES
@JSON_OPTION
@click.pass_obj
def status(context: Context, job_hash: str, mirror: bool, yes: bool, as_json: bool) -> int:
    """Show how far a job is, and its results; of a link that MVSEP fetches, give the short hash."""
    if mirror:
        confirm("Pay one credit for links at the mirror?", yes=yes)
    origin = _origin(context, job_hash)
    answer = ask(context, lambda client: _ask_status(client, job_hash, origin, is_mirrored=mirror))
    if answer.phase is Phase.MISSING and not as_json:
        raise ServiceError(f"MVSEP does not know job {job_hash}: {answer.message or answer.status}")
    code = int(answer.phase is Phase.MISSING)
    show_one("mvsep_job", answer, lambda: _lines(answer), as_json=as_json, exit_code=code)
    return code


async def _ask_status(client: MvsepClient, job_hash: str, origin: str, *, is_mirrored: bool) -> JobAnswer:
    """Return the answer about a job; a link that was fetched by now has become another job, whose answer it is."""
    if is_real_hash(job_hash):
        return await client.get(job_hash, origin=origin, mirror=is_mirrored)
    fetched = await client.get_remote(job_hash, origin=origin)
    if not is_real_hash(fetched.hash):
        return fetched
    answer = await client.get(fetched.hash, origin=client.origin_of(fetched.link), mirror=is_mirrored)
    return msgspec.structs.replace(answer, hash=fetched.hash, link=fetched.link)


def _lines(answer: JobAnswer) -> dict[str, str]:
    queue = "" if answer.current_order is None else f"{answer.current_order} of {number(answer.queue_count)}"
    parts = "" if answer.all_chunks is None else f"{number(answer.finished_chunks)} of {answer.all_chunks}"
    files = {f"{file.type or 'file'}": file.url for file in answer.files}
    return {
        "job": answer.hash,
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
