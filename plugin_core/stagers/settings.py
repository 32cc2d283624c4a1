"""Sections ``[s3]`` and ``[public_url]`` of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from plugin_core.settings import Secret


class S3Settings(msgspec.Struct, frozen=True, kw_only=True):
    """An S3-compatible bucket where files are staged."""

    bucket: str = ""
    endpoint_url: str = ""
    """Empty for Amazon's own."""
    region: str = ""
    access_key_id: Secret = Secret("")
    """Empty for what boto3 finds by itself (environment, profile, role)."""
    secret_access_key: Secret = Secret("")
    session_token: Secret = Secret("")
    addressing: Literal["auto", "virtual", "path"] = "virtual"
    """How the bucket is named in addresses; COS takes ``virtual`` alone, MinIO often ``path`` alone."""
    prefix: str = "stembridge/"
    """What the names of our objects begin with."""
    link_hours: Annotated[float, msgspec.Meta(gt=0, le=168)] = 12.0
    """Hours for which links are good."""


class PublicUrlSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that a web server shows."""

    base_url: str = ""
    """Address of the folder: ``https://files.example.org/stems``."""
    folder: Path = Path()
    """The folder on this machine."""
