"""Registers the stagers ``s3`` and ``public_url`` where their settings are given; imports nothing before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from plugin_core.protocols import Stager
    from plugin_core.settings import Settings


@hookimpl
def register_stagers(register: Callable[[Stager], None], settings: Settings) -> None:
    """Offer the stagers that have settings.

    Raises:
        SettingsError: a value in section ``s3`` or ``public_url`` is wrong.
    """
    from plugin_core.files.depot import S3Settings
    from plugin_core.stagers.public_url import PublicUrlSettings, PublicUrlStager
    from plugin_core.stagers.s3 import S3Stager
    from plugin_core.stores import work_folder

    bucket = settings.section("s3", S3Settings)
    if bucket.bucket:
        register(S3Stager(bucket, work_folder(settings)))
    folder = settings.section("public_url", PublicUrlSettings)
    if folder.base_url:
        register(PublicUrlStager(folder))
