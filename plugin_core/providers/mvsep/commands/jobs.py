"""``stembridge mvsep``: jobs of models that take no song, or two, and any job by its hash: status, cancel, delete."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
import msgspec

from plugin_core.console.answers import confirm, number, show_list, show_one, tell
from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.options import JSON_OPTION, read_folder, read_name, read_pairs
from plugin_core.errors import ServiceError, UsageError
from plugin_core.model import JobState, Model
from plugin_core.providers.mvsep.adapter import MvsepSeparator
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.commands.account import ask
from plugin_core.providers.mvsep.hashes import is_real_hash
from plugin_core.providers.mvsep.job_calls import JobAnswer, Phase
from plugin_core.providers.mvsep.options import REFERENCE


@examples("stembridge mvsep create", "stembridge mvsep create 107 --option text=Hello")
@click.command("create")
@click.argument("model", required=False)
@click.option("--option", "options", metavar="K=V", multiple=True, callback=read_pairs, help="An option; repeat.")
@click.option("--target", type=click.Path(path_type=Path), help="The song to change, for a model that takes two.")
@click.option(
    "--reference", type=click.Path(path_type=Path), help="What it shall sound like, for a model that takes two."
)
@click.option("--format", metavar="NAME", callback=read_name, help="mp3, wav16, flac16, m4a, wav32f or flac24.")
@click.option("--to", metavar="DIR", callback=read_folder, help="Place results below DIR; default here.")
@click.option("--force", is_flag=True, help="Make it anew even if the same was made before.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be made, and stop.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before paying.")
@JSON_OPTION
@click.pass_context
def create(
    ctx: click.Context,
    /,
    model: str | None,
    options: dict[str, str] | None,
    target: Path | None,
    reference: Path | None,
    to: Path | None,
    as_json: bool,
    **run: Any,
) -> Any:
    """Make sound of words, or a song sound like another: what MVSEP's models do that take no song, or two.

    Without MODEL they are listed. `stembridge models mvsep MODEL` shows the options of one.
    """
    context: Context = ctx.obj
    with context.session() as session:
        separator = session.separator("mvsep")
        assert isinstance(separator, MvsepSeparator)
        if model is None:
            others = asyncio.run(separator.other_models())
            heads = ("MODEL", "TAKES", "NAME")
            return show_list("model", others, heads, _row, as_json=as_json, none="there is none", provider="mvsep")
        found = asyncio.run(separator.model(model))
        song, given = _choose_song(separator, found, options or {}, target, reference)
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)
    separate = root.command.get_command(root, "separate")
    assert separate is not None
    place = to or (None if target else Path.cwd())
    return ctx.invoke(
        separate, files=(str(song),), provider="mvsep", model=found.id, options=given, to=place, as_json=as_json, **run
    )


def _choose_song(
    separator: MvsepSeparator, model: Model, options: dict[str, str], target: Path | None, reference: Path | None
) -> tuple[Path, dict[str, str]]:
    """Return the song, or what stands for it, and the options.

    Raises:
        UsageError: the model takes something else.
    """
    if model.takes == "song":
        raise UsageError(
            f"model {model.id}, {model.name}, takes a song", remedy=f"`stembridge separate SONG --model {model.id}`"
        )
    if model.takes == "no song":
        if target or reference:
            raise UsageError(f"model {model.id}, {model.name}, takes no file", remedy="leave out --target, --reference")
        return asyncio.run(separator.accept_words(model.id, options)), options
    if target is None or reference is None:
        raise UsageError(f"model {model.id}, {model.name}, takes two songs", remedy="give --target and --reference")
    return target, options | {REFERENCE: str(reference)}


def _row(model: Model) -> tuple[str, ...]:
    return model.id, model.takes, model.name


HASH = click.argument("job_hash", metavar="HASH")
YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


@examples("stembridge mvsep status 20240131120000-abc")
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


@examples("stembridge mvsep cancel 20240131120000-abc")
@click.command("cancel")
@HASH
@JSON_OPTION
@click.pass_obj
def cancel(context: Context, job_hash: str, as_json: bool) -> None:
    """Cancel a job that still waits; its credits come back."""
    _refuse_own(context, job_hash)
    origin = _origin(context, job_hash)
    notice = ask(context, lambda client: client.cancel(job_hash, origin=origin))
    tell(context, "cancelled", f"{job_hash} cancelled", notice.message, as_json=as_json, hash=job_hash)


@examples("stembridge mvsep delete 20240131120000-abc --yes")
@click.command("delete")
@HASH
@YES
@JSON_OPTION
@click.pass_obj
def delete(context: Context, job_hash: str, yes: bool, as_json: bool) -> None:
    """Remove a job and its files from MVSEP."""
    _refuse_own(context, job_hash)
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


def _refuse_own(context: Context, job_hash: str) -> None:
    """Keep a job that stembridge still works on from being ended behind its back.

    Raises:
        UsageError: it is one; the message says how to end it.
    """
    with context.session() as session:
        active = session.store.list(states=[state for state in JobState if state.is_active])
    for job in active:
        if job.ticket is not None and job.ticket.remote_id == job_hash:
            raise UsageError(f"stembridge works on {job_hash}", remedy=f"use `stembridge jobs cancel {job.id}`")
