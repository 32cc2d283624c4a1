"""HTTP for every service: one factory, retries, rate budgets, redaction, streaming up and resumable down.

Importing this does not import httpx; that waits until the first request.
"""

from __future__ import annotations

import sys

from plugin_core.transfer.calls import (
    Answer,
    Body,
    Bytes,
    Call,
    Data,
    Dialect,
    FileBody,
    FilePart,
    Form,
    Multipart,
    Signer,
)
from plugin_core.transfer.exchange import Transfer

# The command of httpx takes as long to import as all the rest of it, with what it draws with; nobody calls it here, and
# httpx does without.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

__all__ = [
    "Answer",
    "Body",
    "Bytes",
    "Call",
    "Data",
    "Dialect",
    "FileBody",
    "FilePart",
    "Form",
    "Multipart",
    "Signer",
    "Transfer",
]
