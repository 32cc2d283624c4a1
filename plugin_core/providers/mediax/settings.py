"""The section ``[mediax]`` of the settings."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

from plugin_core.errors import RefusedError, SettingsError
from plugin_core.settings import Secret

LOGIN = "run `stembridge login mediax`, or set STEMBRIDGE_MEDIAX_SECRET_ID and STEMBRIDGE_MEDIAX_SECRET_KEY"

_CONTENT_ID: Final = "set it to tmpContentId of your registration, or STEMBRIDGE_MEDIAX_CONTENT_ID"
_CALLBACK: Final = re.compile(r"https?://[^\s/?#]+(?:[/?#]\S*)?\Z")


class MediaxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How MediaX is reached; its keys come with the registration and are no CAM keys."""

    secret_id: Secret = Secret("")
    """``tmpSecretId`` of the registration."""
    secret_key: Secret = Secret("")
    """``tmpSecretKey`` of the registration."""
    base_url: str = "https://api.mediax.tencent.com"
    stager: str = ""
    """Which stager makes files reachable for the service; empty for the only one there is."""
    slots: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    """Jobs that may be alive at once: the service names no limit."""
    timeout: Annotated[int, msgspec.Meta(ge=1, le=604_800)] = 1800
    """Seconds after which the service gives a job up."""
    callback_url: str = ""
    """Where the service tells that a job ended; it only makes us ask at once."""
    poll_first: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 5.0
    """Seconds between the first two looks at a job."""
    poll_longest: Annotated[float, msgspec.Meta(ge=0.01, le=600)] = 30.0
    """Seconds between two looks at an old job."""
    register_seconds: Annotated[float, msgspec.Meta(ge=0, le=110)] = 15.0
    """Seconds the service may need to list a job whose answer was lost; only then it counts as absent."""
    input: Literal["url", "source"] = "url"
    """How the service is told of a song: by a link, or by its name in the bucket that is registered."""
    content_id: str = ""
    """For stems and ``source``: id of the bucket registered with the service, ``tmpContentId`` of the registration."""
    destination: str = "stembridge"
    """For stems: folder in that bucket that the service writes into; empty for its root."""
    bucket_stager: str = ""
    """For stems: the stager that is that bucket; empty for ``stager``, or the only one that can be one."""
    cleanup: bool = True
    """For stems: whether they are removed from the bucket once the job is over."""
    gateway_id: Secret = Secret("")
    gateway_key: Secret = Secret("")
    gateway_source: str = ""
    """``<uin>_<userName>``: with the two above, for accounts that stand behind the older gateway."""

    def check(self) -> None:
        """Refuse what no request can be made of.

        Raises:
            RefusedError: there are no keys.
            SettingsError: a value is malformed.
        """
        if not (self.secret_id and self.secret_key):
            raise RefusedError("MediaX needs an account", remedy=LOGIN)
        for name, value in msgspec.structs.asdict(self).items():
            if isinstance(value, str) and not value.isprintable():
                raise SettingsError(f"[mediax] {name} holds what no request can", remedy="copy it anew")
        gateway = {"gateway_id": self.gateway_id.reveal(), "gateway_source": self.gateway_source}
        for name, text in gateway.items():
            if not text.isascii() or '"' in text:
                raise SettingsError(
                    f"[mediax] {name} holds what no header can", remedy="copy it from the registration again"
                )
        if any(gateway.values()) and not (all(gateway.values()) and self.gateway_key):
            raise SettingsError(
                "[mediax] gateway_id, gateway_key and gateway_source go together", remedy="set all three or none"
            )
        if self.input == "source" and not self.content_id:
            raise SettingsError("[mediax] input is source, and content_id is not set", remedy=_CONTENT_ID)
        if self.callback_url and not _CALLBACK.match(self.callback_url):
            raise SettingsError("[mediax] callback_url is no address", remedy="`stembridge listen` shows one")
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise SettingsError(
                "[mediax] base_url is no address", remedy="it looks like https://api.mediax.tencent.com"
            )

    def check_bucket(self) -> None:
        """Refuse settings with which no stems could come back.

        Raises:
            SettingsError: there is no content id, or the destination is no folder.
        """
        if not self.content_id:
            raise SettingsError(
                "[mediax] content_id is not set, and MediaX leaves stems in the bucket that it names",
                remedy=_CONTENT_ID,
            )
        parts = self.destination.strip("/").split("/")
        if {".", ".."} & set(parts):
            raise SettingsError("[mediax] destination is no folder", remedy="it looks like stembridge")
