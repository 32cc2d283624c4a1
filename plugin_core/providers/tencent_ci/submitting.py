"""Starting a job: the source into the bucket, then the one call that costs money."""

from __future__ import annotations

import contextlib
import logging

from plugin_core.audio.upload import Upload, prepare_upload
from plugin_core.errors import SourceError
from plugin_core.model import Progress, Separation, show_path
from plugin_core.protocols import TOLD, Order, Report
from plugin_core.providers.tencent_ci.begun import FILE_NAME, BegunFile
from plugin_core.providers.tencent_ci.jobs import Callback, JobDetail, JobRequest
from plugin_core.providers.tencent_ci.multipart import upload_file
from plugin_core.providers.tencent_ci.names import SOURCE_SUFFIXES, output_keys, source_key
from plugin_core.providers.tencent_ci.rules import AudioConfig, load_rules
from plugin_core.providers.tencent_ci.service import Service
from plugin_core.providers.tencent_ci.settings import TencentSettings

_log = logging.getLogger(__name__)


async def submit(service: Service, order: Order, wish: Separation, report: Report) -> JobDetail:
    """Upload the source, unless it is there already, and make a job of it.

    Raises:
        OutcomeUnknownError: it may have been made.
        TransientError: surely not made.
        SourceError: the source cannot be read, or not be sent.
        StembridgeError: refused.
    """
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
        order.write_note(TOLD, upload.note)

    def tell(sent: int, total: int | None) -> None:
        report(Progress(fraction=min(1.0, sent / total) if total else None, note=note))

    await upload_file(service.objects, upload.path, source, tell, kept=BegunFile(order.folder / FILE_NAME))
    job = await service.ci.submit(make_request(settings, order.key, source, wish))
    _drop(upload)
    return job


def make_request(settings: TencentSettings, key: str, source: str, wish: Separation) -> JobRequest:
    """Return the request of a planned job."""
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
        outputs=output_keys(settings.folder, key, load_rules().modes[wish.model].stems),
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


def _drop(upload: Upload) -> None:
    """Give the space back that our own file took; the core removes the folder in the end."""
    if upload.is_own:
        with contextlib.suppress(OSError):
            upload.path.unlink()
