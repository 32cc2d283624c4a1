"""``stembridge tencent``: what Tencent Cloud CI can do beyond separating a song."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click
import msgspec

from plugin_core.console.answers import confirm, show_list, show_one, tell
from plugin_core.console.context import Context
from plugin_core.console.groups import group
from plugin_core.console.options import JSON_OPTION
from plugin_core.errors import ExitCode, OutcomeUnknownError, UsageError
from plugin_core.providers.tencent_ci.account import Abilities, read_abilities
from plugin_core.providers.tencent_ci.client import CiClient
from plugin_core.providers.tencent_ci.rules import DEFAULT_MODE, Template, change_template, make_template
from plugin_core.providers.tencent_ci.service import Service
from plugin_core.providers.tencent_ci.settings import SECTION, TencentSettings

T = TypeVar("T")


def ask(context: Context, call: Callable[[CiClient], Awaitable[T]]) -> T:
    """Make calls with the user's keys, about the user's bucket, and return what they bring.

    Raises:
        RefusedError: there are no keys.
        SettingsError: bucket, region or an address are missing or malformed.
        StembridgeError: whatever the calls raise.
    """
    settings = context.settings.section(SECTION, TencentSettings)
    settings.credentials()
    client = Service(settings).ci

    async def work() -> T:
        try:
            return await call(client)
        finally:
            await client.caller.transfer.close()

    return asyncio.run(work())


F = TypeVar("F", bound=Callable[..., Any])

HEADS = ("ID", "MODE", "CODEC", "RATE", "KBIT/S", "CHANNELS", "NAME")
ID = click.argument("template_id", metavar="ID")
LIST = "`stembridge tencent templates`"

_ENCODING = (
    click.option("--codec", help="flac, aac, mp3 or amr; wav, mp3 or aac in MusicMode."),
    click.option("--samplerate", metavar="HZ", help="Sample rate; the service chooses if not said."),
    click.option("--bitrate", metavar="KBIT/S", help="Of a lossy codec; the service chooses if not said."),
    click.option("--channels", metavar="N", help="Channels; the service chooses if not said."),
)


def encoding_options(function: F) -> F:
    """Add the options that say how results are encoded."""
    for option in reversed(_ENCODING):
        function = option(function)
    return function


@group(name="templates", invoke_without_command=True)
@JSON_OPTION
@click.pass_context
def templates(ctx: click.Context, as_json: bool) -> None:
    """List, create, update or delete templates of separations.

    A template is used with: stembridge separate --provider tencent_ci --option template=ID
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_templates, as_json=as_json)
    elif as_json:
        # Said before the sub-command it means the same as after it.
        ctx.default_map = {name: {"as_json": True} for name in templates.commands}


@templates.command("list")
@click.option("--name", default="", help="Only those whose name begins so.")
@JSON_OPTION
@click.pass_obj
def list_templates(context: Context, name: str = "", as_json: bool = False) -> None:
    """List the templates of the bucket."""
    found = ask(context, lambda client: client.list_templates(name=name))
    none = f"no template's name begins with {name}" if name else "the bucket has no templates"
    show_list("template", found, HEADS, _row, as_json=as_json, none=none)


@templates.command("create")
@click.argument("name")
@click.option(
    "--mode",
    default=DEFAULT_MODE,
    show_default=True,
    metavar="MODE",
    help="One of: stembridge models --provider tencent_ci.",
)
@encoding_options
@JSON_OPTION
@click.pass_obj
def create(context: Context, /, name: str, mode: str, as_json: bool, **encoding: str | None) -> None:
    """Create a template; the codec is the best of its mode if not said."""
    template = make_template(name, mode, _said(encoding))
    try:
        made = ask(context, lambda client: client.create_template(template))
    except OutcomeUnknownError as error:
        raise OutcomeUnknownError(error.message, remedy=f"{LIST} shows whether it is there") from error
    _tell(context, "template_created", "created", made, as_json=as_json)


@templates.command("update")
@ID
@click.option("--name", help="Its new name.")
@click.option("--mode", metavar="MODE", help="One of: stembridge models --provider tencent_ci.")
@encoding_options
@JSON_OPTION
@click.pass_obj
def update(
    context: Context,
    /,
    template_id: str,
    name: str | None,
    mode: str | None,
    as_json: bool,
    **encoding: str | None,
) -> None:
    """Change what is said of a template; a new mode or codec resets the rest of the encoding."""
    options = _said(encoding)
    if name is None and mode is None and not options:
        raise UsageError("nothing to change is said", remedy="say --name, --mode, --codec, ...")

    async def change(client: CiClient) -> Template:
        template = await _find(client, template_id)
        return await client.update_template(change_template(template, name, mode, options))

    _tell(context, "template_updated", "updated", ask(context, change), as_json=as_json)


@templates.command("delete")
@ID
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@JSON_OPTION
@click.pass_obj
def delete(context: Context, template_id: str, yes: bool, as_json: bool) -> None:
    """Delete a template."""
    template = ask(context, lambda client: _find(client, template_id))
    confirm(f"Delete template {template.id} ({template.name}) at Tencent Cloud?", yes=yes)
    ask(context, lambda client: client.delete_template(template.id))
    _tell(context, "template_deleted", "deleted", template, as_json=as_json)


async def _find(client: CiClient, template_id: str) -> Template:
    """Return a template of ours: one of another kind of job is none."""
    found = await client.list_templates([template_id]) if template_id else ()
    for template in found:
        if template.id == template_id:
            return template
    raise UsageError(
        f"Tencent CI has no VoiceSeparate template {template_id!r}", remedy=f"{LIST} lists those there are"
    )


def _said(encoding: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in encoding.items() if value is not None}


def _tell(context: Context, event: str, done: str, template: Template, *, as_json: bool) -> None:
    words = ", ".join(text for text in (template.name, template.mode, _encoding(template)) if text)
    what = f"template {template.id} {done}"
    tell(context, event, what, "" if as_json else words, as_json=as_json, **msgspec.structs.asdict(template))


def _encoding(template: Template) -> str:
    config = template.config
    parts = (
        config.codec,
        config.samplerate and f"{config.samplerate} Hz",
        config.bitrate and f"{config.bitrate} kbit/s",
        config.channels and f"{config.channels} channels",
    )
    return ", ".join(part for part in parts if part)


def _row(template: Template) -> tuple[str, ...]:
    config = template.config
    return (
        template.id,
        template.mode,
        config.codec,
        config.samplerate,
        config.bitrate,
        config.channels,
        template.name,
    )


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


@group()
def command() -> None:
    """Keep templates at Tencent Cloud CI, and see what its bucket can do."""


for _part in (templates, bucket):
    command.add_command(_part)
