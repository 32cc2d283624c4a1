"""An order at CI: checked, sent, and started by the one call that costs money; its results found, brought, removed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from plugin_core.audio.formats import usual_format
from plugin_core.audio.overload import CLIPPED
from plugin_core.errors import ServiceError, SourceError, UsageError
from plugin_core.model import Model, Part, Plan, RemoteFile, Separation, Source, show_path
from plugin_core.protocols import Order, Report
from plugin_core.providers.tencent_ci.jobs import Callback, JobDetail, JobRequest, Result, object_of
from plugin_core.providers.tencent_ci.objects import (
    FILE_NAME,
    SOURCE_SUFFIXES,
    BegunFile,
    CosObjects,
    expected_keys,
    job_folder,
    output_keys,
    source_key,
    source_keys,
)
from plugin_core.providers.tencent_ci.rules import (
    AudioConfig,
    CiTemplate,
    Mode,
    audio_config,
    check_options,
    find_mode,
    load_rules,
)
from plugin_core.providers.tencent_ci.service import Service
from plugin_core.providers.tencent_ci.settings import NAME, TencentSettings
from plugin_core.service import bring_all, name_result, part_files, plain_suffix, prepared, size_limit, tell_people
from plugin_core.stem_names import canonical
from plugin_core.transfer.calls import Bytes, DigestError

_AUDIO: tuple[str, ...] = ("codec", "samplerate", "bitrate", "channels")


def list_models() -> tuple[Model, ...]:
    """Return the four AudioModes."""
    return tuple(_describe(name, mode) for name, mode in load_rules().modes.items())


def make_plan(
    source: Source, wish: Separation, template: CiTemplate | None, default: str, *, is_over: bool = False
) -> Plan:
    """Return the plan for one source.

    Args:
        source: the song.
        wish: the user's.
        template: that the wish names; it outranks mode and codec.
        default: the mode when none is asked for.
        is_over: whether the song is floats that lie over full scale.

    Raises:
        UsageError: mode, option, codec or format is wrong.
        SourceError: the source does not fit the format.
    """
    check_options(wish.options)
    mode = find_mode(template.mode if template is not None and template.mode else wish.model or default)
    options = dict(wish.options)
    notes = []
    if template is None:
        config = audio_config(mode, wish.options, source.sample_rate, source.channels)
        options |= {name: value for name, value in msgspec.structs.asdict(config).items() if value}
        codec = config.codec
    else:
        _check_template(template, wish, mode)
        codec = template.config.codec or "aac"
    if not load_rules().codecs[codec].lossless:
        notes.append(f"{codec} is lossy: the stems will not sum exactly to the song")
    if is_over:
        notes.append(f"{CLIPPED}: {codec} cannot hold it")
    if options.get("channels", str(source.channels)) != str(source.channels):
        notes.append(f"{codec} gives {options['channels']} channels of the song's {source.channels}")
    return Plan(
        operation=msgspec.structs.replace(
            wish, model=mode, options=options, format=wish.format or usual_format(source)
        ),
        stems=load_rules().modes[mode].stems,
        notes=tuple(notes),
    )


def codec_of(options: Mapping[str, str]) -> str:
    """Return the codec of a planned job, which is also the suffix of its results."""
    return options.get("codec", "") or "aac"


def _check_template(template: CiTemplate, wish: Separation, mode: str) -> None:
    if wish.model and find_mode(wish.model) != mode:
        raise UsageError(
            f"template {template.id} of {NAME} is for {mode}, not {wish.model}", remedy="leave --model out"
        )
    given = [name for name in _AUDIO if name in wish.options]
    if given:
        raise UsageError(
            f"the template decides about {', '.join(given)}", remedy="leave the option out, or the template"
        )
    codec = template.config.codec
    if codec and codec not in load_rules().codecs:
        raise UsageError(f"template {template.id} gives {codec!r}, which is not known", remedy="use another template")


def _describe(name: str, mode: Mode) -> Model:
    codecs = ", ".join(mode.codecs)
    fixed = "; the service chooses sample rate and channels" if mode.fixed else ""
    price = "billed by Tencent Cloud"
    return Model(
        id=name, name=name, stems=mode.stems, price=price, access="registered", summary=f"{price}; {codecs}{fixed}"
    )


async def submit(service: Service, order: Order, wish: Separation, report: Report) -> JobDetail:
    """Upload the source, unless it is there already, and make a job of it.

    Raises:
        OutcomeUnknownError: it may have been made.
        TransientError: surely not made.
        SourceError: the source cannot be read, or not be sent.
        StembridgeError: refused.
    """
    # Imports what only work needs.
    from plugin_core.providers.tencent_ci.multipart import upload_file

    settings = service.settings
    settings.credentials()
    async with prepared(order, report) as (upload, tell):
        if upload.suffix not in SOURCE_SUFFIXES:
            raise SourceError(
                f"{show_path(order.source.path)} is too long to be sent as WAV",
                remedy="cut it, or resample it to 48 kHz",
            )
        source = source_key(settings.folder, order.key, upload.suffix)
        await upload_file(service.objects, upload.path, source, tell, kept=BegunFile(order.folder / FILE_NAME))
        return await service.ci.submit(make_request(settings, order.key, source, wish))


def make_request(settings: TencentSettings, key: str, source: str, wish: Separation) -> JobRequest:
    options = wish.options
    template = options.get("template", "")
    config = AudioConfig(
        codec=options.get("codec", ""),
        samplerate=options.get("samplerate", ""),
        bitrate=options.get("bitrate", ""),
        channels=options.get("channels", ""),
    )
    return JobRequest(
        source=source,
        bucket=settings.bucket,
        region=settings.region,
        outputs=output_keys(settings, key, load_rules().modes[wish.model].stems),
        mode=wish.model,
        config=None if template else config,
        template=template,
        user_data=key,
        level=options.get("level", "") or settings.level,
        queue=options.get("queue", "") or settings.queue,
        callback=callback_of(settings),
    )


def callback_of(settings: TencentSettings) -> Callback:
    """Return where CI shall tell that a job ended."""
    if settings.callback_type == "TDMQ":
        queue = {
            "MqRegion": settings.callback_mq_region,
            "MqMode": settings.callback_mq_mode or "Queue",
            "MqName": settings.callback_mq_name,
        }
        return Callback(format=settings.callback_format, kind="TDMQ", queue=queue)
    if not settings.callback_url:
        return Callback()
    return Callback(url=settings.callback_url, format=settings.callback_format, kind=settings.callback_type)


_UNLIKE: Final = "the digest that Tencent CI names of it is another one: length and decoding are right"
_log = logging.getLogger(__name__)


async def find_results(service: Service, order: Order, job: str) -> tuple[Result, ...]:
    """Return the results of a job whose description names none: what lies where they were asked for.

    Raises:
        TransientError: no answer now.
        StembridgeError: refused.
    """
    settings, wish = service.settings, order.separation
    expected = expected_keys(settings, order.key, load_rules().modes[wish.model].stems, job, codec_of(wish.options))
    # Names of the user's own share no folder that could be listed.
    keys = set() if settings.results else await _left(service, f"{job_folder(settings.folder, order.key)}{job}/")
    listed = [Result(stem, key) for key in sorted(keys) if (stem := PurePosixPath(key).stem) in expected]
    return tuple(listed or [Result(stem, key) for stem, key in expected.items() if await service.objects.head(key)])


async def fetch_results(objects: CosObjects, order: Order, report: Report) -> list[Part]:
    """Bring every result, some at a time; what is there already is not fetched again.

    A digest that never fits is passed over in the end: what CI means by it is documented nowhere, and the core decodes
    what came.

    Raises:
        ServiceError: all results are gone, or one is too large.
        TransientError: network or disk; to be continued.
        RefusedError: keys or rights.
    """
    limit = size_limit(order.source, objects.caller.settings.max_file_mb << 20)
    unlike: list[str] = []

    async def bring(index: int, file: RemoteFile, tell: Bytes) -> Part:
        path = order.folder / local_name(index, file)
        if not path.is_file() and not await _download(objects, order, file, path, limit, tell):
            unlike.append(file.stem)
        return Part(stem=canonical(file.stem), label=file.label, path=path)

    parts = await bring_all(order, report, bring)
    if unlike:
        tell_people(order, f"{', '.join(sorted(unlike))}: {_UNLIKE}")
    return parts


def local_name(index: int, file: RemoteFile) -> str:
    """Return the name a result has in the job's folder."""
    return name_result(index, file.url, plain_suffix(file.name))


async def _download(objects: CosObjects, order: Order, file: RemoteFile, path: Path, limit: int, tell: Bytes) -> bool:
    """Download a result; tell whether its digest fits, as far as one is named."""
    part, earlier = part_files(order, path)
    bring = partial(objects.download, object_of(file), path, limit=limit, report=tell, part=part, earlier=earlier)
    try:
        await bring(md5=file.md5)
    except DigestError as error:
        _log.warning("job %s: %s", order.key, error)
        await bring()
        return False
    return True


async def remove_objects(service: Service, order: Order, job: JobDetail | None, stems: Sequence[str]) -> None:
    """Remove the uploaded source, the results, and an upload that was not finished.

    Args:
        service: the bucket.
        order: the job, with ticket and results as far as there are any.
        job: as CI describes it.
        stems: that were asked for.

    Raises:
        TransientError: no answer now.
        StembridgeError: refused.
    """
    folder = job_folder(service.settings.folder, order.key)
    keys = _keys(service.settings, order, job, stems) | await _left(service, folder)
    for key in sorted(keys):
        # What the service names is data: only what lies in the job's own folder is the job's.
        if key.startswith(folder):
            await service.objects.delete(key)
    try:
        await service.objects.abort_uploads(folder, BegunFile(order.folder / FILE_NAME))
    except ServiceError as error:
        _log.info("unfinished uploads of job %s are not looked for: %s", order.key, error)


async def _left(service: Service, folder: str) -> set[str]:
    """Return what the bucket lists: a job whose answer was lost may have made results that nobody named."""
    try:
        return set(await service.objects.list_keys(folder))
    except ServiceError as error:
        _log.info("%s is not listed: %s", folder, error)
        return set()


def _keys(settings: TencentSettings, order: Order, job: JobDetail | None, stems: Sequence[str]) -> set[str]:
    keys = set(source_keys(settings.folder, order.key))
    keys |= {object_of(file) for file in order.results}
    if job is not None:
        keys |= {result.key for result in job.results}
    if order.ticket is not None and isinstance(order.operation, Separation):
        codec = codec_of(order.operation.options)
        keys |= set(expected_keys(settings, order.key, stems, order.ticket.remote_id, codec).values())
    return keys
