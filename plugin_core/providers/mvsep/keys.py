"""The job key in the name of an upload: how a job whose answer was lost is found again.

The service makes hashes of ``<14 digits>-<10 hex digits>-<file name in lower case, with hyphens>``. The key comes first
in the name, so that truncation keeps it, and is made of lower-case letters and digits only.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_REAL: Final = re.compile(r"(\d{14})-[a-z0-9]+-")
_LONGEST_SONG: Final = 40


def job_key(key: str) -> str:
    """Return the submission key as it stands in file names: ``sb`` and 26 letters and digits."""
    try:
        data = uuid.UUID(key).bytes
    except ValueError:
        data = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:16]
    return "sb" + base64.b32encode(data).decode("ascii").rstrip("=").lower()


def upload_name(key: str, song: Path, suffix: str) -> str:
    """Return the file name the service is told: the key, then the song's name in a form that it keeps."""
    plain = unicodedata.normalize("NFKD", song.stem).encode("ascii", "ignore").decode("ascii").lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_SONG].strip("-")
    return f"{job_key(key)}-{slug or 'song'}{suffix}"


def carries_key(text: str, key: str) -> bool:
    """Tell whether a hash, or the file name in a link, holds the submission key in any form."""
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    return job_key(key) in plain or re.sub(r"[^a-z0-9]", "", key.lower()) in plain


def is_real_hash(text: str) -> bool:
    """Tell whether this is the hash of a separation, not the short one of a download by the service."""
    return _REAL.match(text) is not None


def time_of_hash(text: str) -> float | None:
    """Return when a hash was made, as if the service's clock were UTC, which may be hours off."""
    found = _REAL.match(text)
    try:
        return datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp() if found else None
    except ValueError:
        return None


def time_of_key(key: str) -> float | None:
    """Return when a submission key was made, if it is a UUIDv7."""
    try:
        found = uuid.UUID(key)
    except ValueError:
        return None
    return (found.int >> 80) / 1000 if found.version == 7 else None
