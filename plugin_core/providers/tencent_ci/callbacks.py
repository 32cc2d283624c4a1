"""What CI posts when a job ends: XML, or JSON whose ``JobsDetail`` is an object or a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugin_core.callbacks.calls import read_json
from plugin_core.errors import ServiceError
from plugin_core.providers.tencent_ci.documents import read_xml
from plugin_core.providers.tencent_ci.jobs import read_page

_WHAT = "callback of Tencent CI"


def read_names(body: bytes) -> set[str]:
    """Return the job ids and the UserData in a callback; nothing signs it, so that it is only a hint.

    Raises:
        ServiceError: it is neither XML without a document type nor JSON.
    """
    page = read_page(_document(body))
    return {name for job in page.jobs for name in (job.id, job.user_data) if name}


def _document(body: bytes) -> Mapping[str, Any]:
    if body.lstrip().startswith(b"<"):
        return read_xml(body, _WHAT)
    document = read_json(body, _WHAT)
    if not isinstance(document, dict):
        raise ServiceError(f"{_WHAT}: no object")
    inner = document.get("Response")
    return inner if isinstance(inner, dict) else document
