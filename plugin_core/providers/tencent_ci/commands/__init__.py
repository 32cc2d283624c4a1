"""``stembridge tencent``: what Tencent Cloud CI can do beyond separating a song."""

from __future__ import annotations

from plugin_core.console.groups import group
from plugin_core.providers.tencent_ci.commands.bucket import bucket
from plugin_core.providers.tencent_ci.commands.templates import templates


@group()
def command() -> None:
    """Keep templates at Tencent Cloud CI, and see what its bucket can do."""


for _part in (templates, bucket):
    command.add_command(_part)
