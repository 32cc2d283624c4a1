"""The hosts of the service: a job lives on one of them, and the token goes to no other."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from plugin_core.errors import ServiceError, SettingsError
from plugin_core.transfer.addresses import check_url, is_loopback
from plugin_core.transfer.redaction import redact_url

DOMAIN = "mvsep.com"

_ENDPOINT = re.compile(r"/separation/(get|get-remote)/?\Z")


class Nodes:
    """The configured API and its siblings.

    Args:
        base_url: the configured API.
        trusted: further hosts the token may go to.

    Raises:
        SettingsError: the base may not be spoken to.
    """

    def __init__(self, base_url: str, trusted: Collection[str] = ()) -> None:
        self.base = base_url.rstrip("/")
        try:
            parts = check_url(self.base)
        except ServiceError as error:
            raise SettingsError(f"[mvsep] base_url: {error.message}", remedy=error.remedy) from None
        self._origin = (parts.scheme, parts.netloc.lower())
        self._trusted = {host.lower() for host in trusted}

    def is_trusted(self, url: str) -> bool:
        """Tell whether the token may go to a URL: the base itself, an https host of the service, an injected one."""
        try:
            parts = check_url(url)
        except ServiceError:
            return False
        host = (parts.hostname or "").lower().rstrip(".")
        if (parts.scheme, parts.netloc.lower()) == self._origin or host in self._trusted:
            return True
        return parts.scheme == "https" and not is_loopback(host) and (host == DOMAIN or host.endswith(f".{DOMAIN}"))

    def origin_of(self, link: str) -> str:
        """Return the API base a link to a job points at; the configured one where the link may not be followed."""
        try:
            parts = urlsplit(link)
        except ValueError:
            return self.base
        path, found = _ENDPOINT.subn("", parts.path)
        origin = f"{parts.scheme}://{parts.netloc}{path}"
        return origin if found and self.is_trusted(origin) else self.base

    def pick(self, origin: str, *, with_token: bool) -> str:
        """Return the API base to call for a job.

        Raises:
            ServiceError: it is not the service's, and the call carries the token.
        """
        picked = origin.rstrip("/") or self.base
        if with_token and not self.is_trusted(picked):
            raise ServiceError(f"{redact_url(picked)} is no host of MVSEP: the token is not sent there")
        return picked
