"""``stembridge mvsep``: what MVSEP's API can do beyond separating a song."""

from __future__ import annotations

from plugin_core.console.groups import examples, group
from plugin_core.providers.mvsep.commands import account, jobs
from plugin_core.providers.mvsep.commands.jobs import create


@examples("stembridge mvsep queue")
@group()
def command() -> None:
    """Use the rest of MVSEP: models that take no song, past jobs, queue, news, account switches, quality checker."""


for _part in (
    account.history,
    account.queue,
    account.news,
    account.demo,
    create,
    jobs.status,
    jobs.cancel,
    jobs.delete,
    account.premium,
    account.long_filenames,
    account.register,
    account.quality,
):
    command.add_command(_part)
