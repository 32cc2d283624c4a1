"""Section ``[tencent]`` of the settings: one bucket at Tencent Cloud, and what is done in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

from plugin_core.errors import RefusedError, SettingsError
from plugin_core.providers.tencent_ci.signature import Credentials
from plugin_core.settings import Secret

SECTION: Final = "tencent"
NAME: Final = "tencent_ci"
LOGIN: Final = f"`stembridge login {NAME}`"

_BUCKET: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?-[0-9]{6,14}\Z")
_CALLBACK: Final = re.compile(r"https?://[^\s/?#]+(?:[/?#]\S*)?\Z")
_SENT: Final = (
    "prefix",
    "results",
    "library_prefix",
    "queue",
    "callback_url",
    "callback_mq_region",
    "callback_mq_name",
)
"""What goes into requests as it stands."""
_KEY: Final = re.compile(r"(?!.*(?:^|/)\.{0,2}(?:/|$)).{1,500}\Z")
"""The name of an object: no part of it is empty or leads elsewhere."""
_REGION: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")


class TencentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whose bucket at Tencent Cloud is used, and how."""

    secret_id: Secret = Secret("")
    """From https://console.cloud.tencent.com/cam/capi, or kept in the keyring by ``stembridge login tencent_ci``."""
    secret_key: Secret = Secret("")
    token: Secret = Secret("")
    """Only for temporary keys: the token that belongs to them."""
    bucket: str = ""
    """Name with its APPID: ``songs-1250000000``."""
    region: str = ""
    """Where the bucket is: ``ap-guangzhou``, ..."""
    cos_base_url: str = ""
    """Where objects are; empty for the bucket's own host."""
    ci_base_url: str = ""
    """Where jobs are made; empty for the bucket's own host."""
    prefix: str = "stembridge/"
    """What the names of our objects begin with."""
    results: str = ""
    """Names of the stems, as ``stems/${jobid}/${stem}.${ext}``; empty for a folder of the job's below ``prefix``."""
    cleanup: bool = True
    """Whether uploaded and produced objects are removed once the job is over."""
    model: str = "AudioAndBackground"
    """The AudioMode used when none is asked for."""
    queue: str = ""
    """Id of the queue; empty for the service's choice."""
    level: Literal["", "0", "1", "2"] = ""
    """Priority of jobs."""
    slots: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    """Jobs that may be alive at once: the service names no limit."""
    multipart_above_mb: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 64
    """Larger files, in MiB, are uploaded in parts."""
    part_mb: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 16
    """Size of a part, in MiB."""
    parts_at_once: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4
    """Parts uploaded at the same time."""
    library: Path = Path()
    """A folder on this machine whose files are in the bucket as well: such songs are staged without an upload."""
    library_prefix: str = ""
    """What the names of those objects begin with, before their path below the folder."""
    link_hours: Annotated[float, msgspec.Meta(gt=0, le=168)] = 12.0
    """Hours for which links to staged files are good."""
    callback_url: str = ""
    """Where the service tells that a job ended; it only makes us ask at once. ``no`` mutes that of the queue."""
    callback_format: Literal["JSON", "XML"] = "JSON"
    callback_type: Literal["", "Url", "TDMQ"] = ""
    """``TDMQ`` needs the region and name below."""
    callback_mq_region: str = ""
    callback_mq_mode: Literal["", "Queue", "Topic"] = ""
    callback_mq_name: str = ""
    poll_first: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 5.0
    """Seconds between two looks at a new job."""
    poll_longest: Annotated[float, msgspec.Meta(ge=0.01, le=600)] = 30.0
    """Seconds between two looks at an old job."""
    register_seconds: Annotated[float, msgspec.Meta(ge=0, le=110)] = 15.0
    """Seconds the service may need to list a job whose answer was lost; only then it counts as absent."""
    max_file_mb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 8192
    """Largest file taken from the service, in MiB."""

    @property
    def is_configured(self) -> bool:
        """Whether keys, bucket and region are given."""
        return bool(self.secret_id and self.secret_key and self.bucket and self.region)

    @property
    def folder(self) -> str:
        """The prefix of our objects, without a leading slash and with one at its end unless it is empty."""
        plain = self.prefix.strip("/")
        return f"{plain}/" if plain else ""

    def credentials(self) -> Credentials:
        """Return the key pair.

        Raises:
            RefusedError: there is none.
            SettingsError: it cannot be one.
        """
        if not (self.secret_id and self.secret_key):
            raise RefusedError(
                "Tencent Cloud wants a SecretId and a SecretKey, and none are set", remedy=f"use {LOGIN}"
            )
        for name in ("secret_id", "secret_key", "token"):
            secret: Secret = getattr(self, name)
            if not (secret.isascii() and secret.isprintable()):
                raise SettingsError(f"[{SECTION}] {name} holds what no key holds", remedy=f"give it anew: {LOGIN}")
        return Credentials(self.secret_id, self.secret_key, self.token)

    def cos_url(self) -> str:
        """Return where the bucket's objects are.

        Raises:
            SettingsError: bucket, region or address are missing or malformed.
        """
        return self._own("cos_base_url", self.cos_base_url) or f"https://{self._host('cos')}"

    def ci_url(self) -> str:
        """Return where the bucket's jobs are.

        Raises:
            SettingsError: bucket, region or address are missing or malformed.
        """
        return self._own("ci_base_url", self.ci_base_url) or f"https://{self._host('ci')}"

    def ci_account_url(self) -> str:
        """Return where is asked about all buckets of the account.

        Raises:
            SettingsError: region or address are missing or malformed.
        """
        own = self._own("ci_base_url", self.ci_base_url)
        self.check()
        return own or f"https://ci.{self.region}.myqcloud.com"

    def check(self) -> None:
        """Refuse what no request can be made of; bucket and region become part of a host.

        Raises:
            SettingsError: a value is missing or malformed.
        """
        self._check_place()
        for name in _SENT:
            if not getattr(self, name).isprintable():
                raise SettingsError(f"[{SECTION}] {name} holds what no request can", remedy="write it anew")
        if self.library != Path() and not self.library.is_absolute():
            raise SettingsError(f"[{SECTION}] library is no whole path", remedy="write it from the root on")
        wildcards = ("${jobid}", "${stem}", "${ext}")
        if self.results and (not all(each in self.results for each in wildcards) or not _KEY.match(self.results)):
            raise SettingsError(
                f"[{SECTION}] results: {self.results!r} names no object of each stem of each job",
                remedy="it holds ${jobid}, ${stem} and ${ext}, as stems/${jobid}/${stem}.${ext} does",
            )
        if self.callback_url not in ("", "no") and not _CALLBACK.match(self.callback_url):
            raise SettingsError(
                f"[{SECTION}] callback_url is no address",
                remedy="`stembridge listen` shows one; `no` mutes the queue's",
            )
        if self.callback_type == "TDMQ" and not (self.callback_mq_region and self.callback_mq_name):
            raise SettingsError(
                f"[{SECTION}] callback_type TDMQ needs callback_mq_region and callback_mq_name", remedy="set both"
            )

    def _check_place(self) -> None:
        if not _BUCKET.match(self.bucket):
            what = f"{self.bucket!r} is no bucket with its APPID" if self.bucket else "no bucket is set"
            raise SettingsError(
                f"[{SECTION}] bucket: {what}", remedy="it looks like songs-1250000000: the console shows it whole"
            )
        if not _REGION.match(self.region):
            what = f"{self.region!r} is no region" if self.region else "no region is set"
            raise SettingsError(f"[{SECTION}] region: {what}", remedy="it looks like ap-guangzhou: the bucket's own")

    def _host(self, service: str) -> str:
        self.check()
        return f"{self.bucket}.{service}.{self.region}.myqcloud.com"

    def _own(self, key: str, url: str) -> str:
        """Return an address that is set instead of the service's, checked."""
        if not url:
            return ""
        self.check()
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise SettingsError(f"[{SECTION}] {key} is no address", remedy="it looks like https://host")
        return url.rstrip("/")
