"""``stembridge tencent bucket``: whether CI can separate songs in the bucket, and what to do if not."""

from __future__ import annotations

import click

from plugin_core.console.answers import show_one
from plugin_core.console.context import Context
from plugin_core.console.options import JSON_OPTION
from plugin_core.errors import ExitCode
from plugin_core.providers.tencent_ci.abilities import Abilities, read_abilities
from plugin_core.providers.tencent_ci.commands.calling import ask

_BINDINGS = {"": "not said", "on": "bound", "off": "not bound", "unbinding": "being unbound"}


@click.command("bucket")
@JSON_OPTION
@click.pass_obj
def bucket(context: Context, as_json: bool) -> int:
    """Show whether Smart Audio is on for the bucket, and its queues."""
    found = ask(context, read_abilities)
    code = ExitCode.FAILED if found.remedy else ExitCode.DONE
    show_one("bucket", found, lambda: _lines(found), as_json=as_json, exit_code=code)
    return code


def _lines(found: Abilities) -> dict[str, str]:
    return {
        "bucket": f"{found.bucket} in {found.region}",
        "Cloud Infinite": _BINDINGS.get(found.binding, found.binding),
        "Smart Audio": "on" if found.smart_audio else "off",
        "media processing": "on, as older accounts have it" if found.media_processing else "",
        "queues": ", ".join(found.queues),
        "what to do": found.remedy,
    }
