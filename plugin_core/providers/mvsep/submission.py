"""Starting a job: what is sent, and the ticket that comes back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from plugin_core.errors import OutcomeUnknownError, UsageError
from plugin_core.model import Progress, Separation, Ticket
from plugin_core.protocols import TOLD, Order, Report
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.hashes import carries_key, is_real_hash, upload_name
from plugin_core.providers.mvsep.job_calls import Created
from plugin_core.providers.mvsep.options import IS_DEMO, OURS
from plugin_core.providers.mvsep.plan import output_of
from plugin_core.settings import Secret

if TYPE_CHECKING:
    from plugin_core.audio.upload import Upload


async def submit_file(client: MvsepClient, order: Order, wish: Separation, report: Report) -> Ticket:
    """Upload the source and create a job of it.

    Raises:
        OutcomeUnknownError: sent, and the answer lost.
        TransientError: surely not created.
        ServiceError: refused.
        SourceError: the source cannot be read, or is too large or long for the plan.
    """
    from plugin_core.audio.upload import prepare_upload

    def tell_share(share: float) -> None:
        report(Progress(fraction=share, note="preparing the upload"))

    upload = await prepare_upload(order.source.path, order.folder, order.attempt, tell_share)
    note = f"uploading; {upload.note}" if upload.note else "uploading"
    if upload.note:
        order.write_note(TOLD, upload.note)

    def tell(sent: int, total: int | None) -> None:
        report(Progress(fraction=min(1.0, sent / total) if total else None, note=note))

    created = await client.create(
        model=wish.model,
        output_format=output_of(wish.options),
        audio=upload.path,
        name=upload_name(order.key, order.source.path, upload.suffix),
        options=service_options(wish),
        is_demo=wish.options.get(IS_DEMO) == "1",
        report=tell,
    )
    _drop(upload)
    return make_ticket(client.origin_of, created)


async def submit_link(client: MvsepClient, order: Order, wish: Separation) -> Ticket:
    """Create a job of a source that the service fetches itself.

    Raises:
        UsageError: the stager's links do not carry the job's key, so that a lost job could not be found again.
        OutcomeUnknownError: sent, and the answer lost.
        TransientError: surely not created.
        ServiceError: refused.
    """
    if not carries_key(file_name_of(order.url), order.key):
        raise UsageError(
            "the stager's links do not have the job's key in their file name, and MVSEP could not be asked for a job "
            "whose answer is lost",
            remedy="choose another [mvsep] stager, or none",
        )
    created = await client.create(
        model=wish.model,
        output_format=output_of(wish.options),
        url=order.url,
        remote_type="direct",
        options=service_options(wish),
        is_demo=wish.options.get(IS_DEMO) == "1",
    )
    return make_ticket(client.origin_of, created)


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
