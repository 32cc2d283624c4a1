"""The signature of the older gateway, which some accounts still stand behind."""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate

from plugin_core.settings import Secret


def gateway_headers(gateway_id: Secret, gateway_key: Secret, source: str, now: float) -> dict[str, str]:
    """Return the headers that sign a request; none when the account has no gateway keys.

    Args:
        gateway_id: ``apiGateSecretId`` of the registration.
        gateway_key: ``apiGateSecretKey``.
        source: ``<uin>_<userName>``.
        now: seconds since the epoch.
    """
    if not (gateway_id and gateway_key and source):
        return {}
    date = formatdate(now, usegmt=True)
    text = f"date: {date}\nsource: {source}"
    digest = hmac.new(gateway_key.reveal().encode(), text.encode(), hashlib.sha1).digest()
    signature = base64.b64encode(digest).decode()
    header = f'hmac id="{gateway_id.reveal()}", algorithm="hmac-sha1", headers="date source", signature="{signature}"'
    return {"Date": date, "Source": source, "Authorization": Secret(header)}
