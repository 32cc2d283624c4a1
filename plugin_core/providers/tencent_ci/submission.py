"""Starting a job: a wish checked, the source into the bucket, then the one call that costs money."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import msgspec

from plugin_core.audio.formats import usual_format
from plugin_core.audio.overload import CLIPPED
from plugin_core.errors import SourceError, UsageError
from plugin_core.model import Model, Plan, Progress, Separation, Source, show_path
from plugin_core.protocols import Order, Report
from plugin_core.providers.tencent_ci.jobs import Callback, JobDetail, JobRequest
from plugin_core.providers.tencent_ci.objects import FILE_NAME, SOURCE_SUFFIXES, BegunFile, output_keys, source_key
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
from plugin_core.service import tell_people

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
    # Both import what only work needs.
    from plugin_core.audio.upload import prepare_upload
    from plugin_core.providers.tencent_ci.multipart import upload_file

    settings = service.settings
    settings.credentials()
    upload = await prepare_upload(
        order.source.path,
        order.folder,
        order.attempt,
        lambda share: report(Progress(fraction=share, note="preparing the upload")),
    )
    if upload.suffix not in SOURCE_SUFFIXES:
        raise SourceError(
            f"{show_path(order.source.path)} is too long to be sent as WAV", remedy="cut it, or resample it to 48 kHz"
        )
    source = source_key(settings.folder, order.key, upload.suffix)
    note = f"uploading; {upload.note}" if upload.note else "uploading"
    if upload.note:
        tell_people(order, upload.note)

    def tell(sent: int, total: int | None) -> None:
        report(Progress(fraction=min(1.0, sent / total) if total else None, note=note))

    await upload_file(service.objects, upload.path, source, tell, kept=BegunFile(order.folder / FILE_NAME))
    job = await service.ci.submit(make_request(settings, order.key, source, wish))
    if upload.is_own:
        # The core removes the folder in the end; the space is given back now.
        with contextlib.suppress(OSError):
            upload.path.unlink()
    return job


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
