"""HTTP for every service: one factory, retries, rate budgets, redaction, streaming up and resumable down.

Importing this does not import httpx; that waits until the first request.
"""

from __future__ import annotations

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
