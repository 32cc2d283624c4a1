"""The file that is uploaded: see ``plugin_core.audio.upload``."""

from __future__ import annotations

from plugin_core.audio.upload import Upload, is_clean_flac
from plugin_core.audio.upload import prepare_upload as prepare_file
from plugin_core.model import Progress
from plugin_core.protocols import Order, Report

__all__ = ["Upload", "is_clean_flac", "prepare_upload"]


async def prepare_upload(order: Order, report: Report) -> Upload:
    """Return what is sent for a job's source: itself if it is FLAC, else a FLAC of it in the job's folder.

    Raises:
        SourceError: it cannot be decoded.
        TransientError: the disk is full, or does not answer.
        PlacementError: the job's folder cannot be written.
    """
    return await prepare_file(
        order.source.path,
        order.folder,
        order.attempt,
        lambda share: report(Progress(fraction=share, note="preparing the upload")),
    )
