"""Starting a job: what is sent, and the ticket that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from plugin_core.errors import OutcomeUnknownError, SourceError, UsageError
from plugin_core.files.checksum import hash_file
from plugin_core.model import Progress, Separation, Ticket, show_path
from plugin_core.protocols import Order, Report
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.hashes import SEEN, carries_key, is_real_hash, list_known, upload_name
from plugin_core.providers.mvsep.job_calls import Created
from plugin_core.providers.mvsep.options import IS_DEMO, OURS, PRESET, REFERENCE, WEBHOOK
from plugin_core.providers.mvsep.plan import output_of
from plugin_core.providers.mvsep.requests import Kind, Requests, remote_type_of
from plugin_core.service import tell_people
from plugin_core.settings import Secret

if TYPE_CHECKING:
    from plugin_core.audio.upload import Upload


async def submit(client: MvsepClient, order: Order, requests: Requests, report: Report) -> Ticket:
    """Create the job of an order: upload its song, name the link it can be fetched from, or send the words alone.

    Raises:
        OutcomeUnknownError: sent, and the answer lost.
        TransientError: surely not created.
        ServiceError: refused.
        SourceError: the source cannot be read, or is too large or long for the plan.
        UsageError: a link or a reference is not to be had any more, or a lost job could not be found again.
    """
    wish, kind = order.separation, requests.kind_of(order.source.path)
    hook = wish.options.get(WEBHOOK, "")
    call = partial(
        client.create,
        model=wish.model,
        output_format=output_of(wish.options),
        options=service_options(wish),
        is_demo=wish.options.get(IS_DEMO) == "1",
        preset_id=wish.options.get(PRESET, ""),
        webhook_url=requests.kept(hook) or "" if hook else "",
    )
    if kind is not None:
        # Nothing of a request carries the job's key: what is there already is none of ours.
        order.write_note(SEEN, json.dumps(sorted(await list_known(client))))
    if kind is Kind.WORDS:
        created = await call()
    elif kind is Kind.LINK:
        link = await asyncio.to_thread(requests.link_of, order.source.path)
        created = await call(url=link, remote_type=remote_type_of(link))
    elif order.url:
        created = await call(url=_require_key(order), remote_type="direct")
    else:
        created = await _submit_file(call, order, requests, report)
    return make_ticket(client.origin_of, created)


async def _submit_file(
    call: Callable[..., Awaitable[Created]], order: Order, requests: Requests, report: Report
) -> Created:
    from plugin_core.audio.upload import prepare_upload

    def tell_share(share: float) -> None:
        report(Progress(fraction=share, note="preparing the upload"))

    digest = order.separation.options.get(REFERENCE, "")
    reference = await asyncio.to_thread(_find_reference, requests, digest) if digest else None
    upload = await prepare_upload(order.source.path, order.folder, order.attempt, tell_share)
    note = f"uploading; {upload.note}" if upload.note else "uploading"
    if upload.note:
        tell_people(order, upload.note)

    def tell(sent: int, total: int | None) -> None:
        report(Progress(fraction=min(1.0, sent / total) if total else None, note=note))

    files = {"audio": upload.path} if reference is None else {"target_audio": upload.path, "reference_audio": reference}
    name = upload_name(order.key, order.source.path, upload.suffix)
    created = await call(**files, name=name, report=tell)
    _drop(upload)
    return created


def _find_reference(requests: Requests, digest: str) -> Path:
    """Return the file that a song shall sound like, as it was when the job was asked for."""
    path = Path(requests.kept(digest) or "")
    if not path.is_file() or hash_file(path).sha256 != digest:
        raise SourceError(f"the reference {show_path(path)} is gone or has changed", remedy="give it again")
    return path


def _require_key(order: Order) -> Secret:
    """Return a stager's link, by whose file name a lost job can be found."""
    if carries_key(file_name_of(order.url), order.key):
        return order.url
    raise UsageError(
        "the stager's links do not have the job's key in their file name, and MVSEP could not be asked for a job "
        "whose answer is lost",
        remedy="choose another [mvsep] stager, or none",
    )


def make_ticket(origin_of: Callable[[str], str], created: Created) -> Ticket:
    """Return the ticket of a created job; a job by link has a short hash until the service has fetched the file.

    Raises:
        OutcomeUnknownError: the service said yes and named no job.
    """
    if not created.hash:
        raise OutcomeUnknownError("MVSEP took the job and did not say its hash", remedy="it is looked for")
    return Ticket(remote_id=created.hash, origin=origin_of(created.link))


def is_by_link(ticket: Ticket) -> bool:
    """Tell whether a ticket holds the short hash of a download by the service."""
    return not is_real_hash(ticket.remote_id)


def service_options(wish: Separation) -> dict[str, str]:
    """Return what of the resolved options are fields of the model."""
    return {name: value for name, value in wish.options.items() if name not in OURS}


def file_name_of(url: Secret) -> str:
    """Return the file name in a link, which is no secret."""
    return unquote(Path(urlsplit(url.reveal()).path).name)


def _drop(upload: Upload) -> None:
    """Give the space back that our own file took; the core removes the folder in the end."""
    if upload.is_own:
        with contextlib.suppress(OSError):
            upload.path.unlink()
