"""``stembridge tencent``: what Tencent Cloud CI can do beyond separating a song."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import click
import msgspec

from plugin_core.abilities import HasJobs, RemoteJob
from plugin_core.console.answers import confirm, show_list, show_one, tell
from plugin_core.console.context import Context
from plugin_core.console.groups import examples, group
from plugin_core.console.options import JSON_OPTION
from plugin_core.errors import ExitCode, OutcomeUnknownError, UsageError
from plugin_core.providers.tencent_ci.client import CiClient
from plugin_core.providers.tencent_ci.rules import DEFAULT_MODE, CiTemplate, change_template, make_template
from plugin_core.providers.tencent_ci.service import Abilities, MediaInfo, Service, read_abilities, read_media
from plugin_core.providers.tencent_ci.settings import NAME, SECTION, TencentSettings

T = TypeVar("T")


def ask(context: Context, call: Callable[[CiClient], Awaitable[T]]) -> T:
    """Make calls with the user's keys, about the user's bucket, and return what they bring.

    Raises:
        RefusedError: there are no keys.
        SettingsError: bucket, region or an address are missing or malformed.
        StembridgeError: whatever the calls raise.
    """
    client = Service(_settings(context)).ci

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


@examples("stembridge tencent templates")
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


@examples("stembridge tencent templates list --name stems")
@templates.command("list")
@click.option("--name", default="", help="Only those whose name begins so.")
@JSON_OPTION
@click.pass_obj
def list_templates(context: Context, name: str = "", as_json: bool = False) -> None:
    """List the templates of the bucket."""
    found = ask(context, lambda client: client.list_templates(name=name))
    none = f"no template's name begins with {name}" if name else "the bucket has no templates"
    show_list("template", found, HEADS, _row, as_json=as_json, none=none)


@examples("stembridge tencent templates create four --mode MusicMode --codec wav")
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


@examples("stembridge tencent templates update t1460606b9752 --name four")
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

    async def change(client: CiClient) -> CiTemplate:
        template = await _find(client, template_id)
        return await client.update_template(change_template(template, name, mode, options))

    _tell(context, "template_updated", "updated", ask(context, change), as_json=as_json)


@examples("stembridge tencent templates delete t1460606b9752 --yes")
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


def _settings(context: Context) -> TencentSettings:
    settings = context.settings.section(SECTION, TencentSettings)
    settings.credentials()
    return settings


async def _find(client: CiClient, template_id: str) -> CiTemplate:
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


def _tell(context: Context, event: str, done: str, template: CiTemplate, *, as_json: bool) -> None:
    words = ", ".join(text for text in (template.name, template.mode, _encoding(template)) if text)
    what = f"template {template.id} {done}"
    tell(context, event, what, "" if as_json else words, as_json=as_json, **msgspec.structs.asdict(template))


def _encoding(template: CiTemplate) -> str:
    config = template.config
    parts = (
        config.codec,
        config.samplerate and f"{config.samplerate} Hz",
        config.bitrate and f"{config.bitrate} kbit/s",
        config.channels and f"{config.channels} channels",
    )
    return ", ".join(part for part in parts if part)


def _row(template: CiTemplate) -> tuple[str, ...]:
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


@examples("stembridge tencent bucket")
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


_PROVIDER = click.option(
    "--provider", default=NAME, show_default=True, metavar="NAME", help="Whose jobs: also mediax or mediax_stems."
)
_JOB_HEADS = ("ID", "STATE", "CREATED", "NAME", "SONG")


@examples("stembridge tencent jobs Song")
@click.command("jobs")
@click.argument("name", default="")
@_PROVIDER
@JSON_OPTION
@click.pass_obj
def jobs(context: Context, name: str, provider: str, as_json: bool) -> None:
    """List jobs as the service has them, also those of its console and of other programs.

    NAME: only those with this UserData (Tencent CI) or customId (MediaX); stembridge gives them a purchase's key.
    """
    found = _ask_provider(context, provider, lambda asked: asked.remote_jobs(name))
    none = f"{provider} has no job called {name}" if name else f"{provider} has no jobs"
    show_list("remote_job", found, _JOB_HEADS, _job_row, as_json=as_json, none=none)


@examples("stembridge tencent job t1460606b9752")
@click.command("job")
@click.argument("remote_id", metavar="ID")
@_PROVIDER
@JSON_OPTION
@click.pass_obj
def job(context: Context, remote_id: str, provider: str, as_json: bool) -> None:
    """Show one job as the service has it, by the service's own id."""
    found = _ask_provider(context, provider, lambda asked: asked.remote_job(remote_id))
    lines = {"job": found.id, "state": found.state, "created": found.created, "name": found.name, "song": found.song}
    results = {f"result {number}": text for number, text in enumerate(found.results, 1)}
    show_one("remote_job", found, lambda: lines | {"reason": found.reason} | results, as_json=as_json)


@examples("stembridge tencent media-info music/Song.flac")
@click.command("media-info")
@click.argument("key", metavar="OBJECT")
@JSON_OPTION
@click.pass_obj
def media_info(context: Context, key: str, as_json: bool) -> None:
    """Show what Tencent CI reads in an object of the bucket, by its name there."""
    settings = _settings(context)
    found = asyncio.run(read_media(Service(settings), key.lstrip("/")))
    show_one("media_info", found, lambda: _media_lines(found), as_json=as_json)


def _media_lines(found: MediaInfo) -> dict[str, str]:
    lines = {
        "object": found.object,
        "format": found.format,
        "length": found.seconds and f"{found.seconds} s",
        "bit rate": found.kilobits and f"{found.kilobits} kbit/s",
        "size": found.bytes and f"{found.bytes} bytes",
    }
    for number, stream in enumerate(found.audio, 1):
        words = (stream["codec"], f"{stream['sample_rate']} Hz", f"{stream['channels']} channels")
        lines[f"audio {number}"] = ", ".join(words)
    return lines


def _job_row(found: RemoteJob) -> tuple[str, ...]:
    return found.id, found.state, found.created, found.name, found.song


def _ask_provider(context: Context, name: str, call: Callable[[HasJobs], Coroutine[Any, Any, T]]) -> T:
    """Ask a provider about jobs at its service.

    Raises:
        UsageError: there is no such provider, or its service tells nothing of its jobs.
        StembridgeError: the provider's own.
    """
    with context.session() as session:
        provider = session.registry.provider(name)
        if not isinstance(provider, HasJobs):
            raise UsageError(f"the jobs of {name} cannot be asked for", remedy=f"say --provider {NAME} or mediax")
        return asyncio.run(call(provider))


@examples("stembridge tencent bucket")
@group()
def command() -> None:
    """Ask Tencent's services about jobs and objects, keep templates, and see what the bucket can do."""


for _part in (templates, bucket, jobs, job, media_info):
    command.add_command(_part)
