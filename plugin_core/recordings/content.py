"""The bytes of a file, hashed once for all who ask while its status stays; and how digests of all kinds are written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from plugin_core.audio.source_file import Identity, Memory, explain_os_error, look_at
from plugin_core.files.checksum import hash_file

if TYPE_CHECKING:
    from plugin_core.recordings.track import Excerpt

_RAW1: Final = "raw1:"


_FRESH_SECONDS: Final = 300.0


class Heard(NamedTuple):
    """What a reading of a file told."""

    sha256: str
    digest: str = ""
    """Of the recording, where that was made in the same reading."""
    at: float = 0.0
    """When it was read, by the clock that never jumps."""


_heard: Final = Memory[Identity, Heard]()


def raw1(sha256: str) -> str:
    """Return the digest of a file's bytes, of which the SHA-256 is known."""
    return f"{_RAW1}{sha256}"


def pkt1(sha256: str, excerpt: Excerpt | None) -> str:
    """Return the digest of coded packets, or of the part of them that is played."""
    part = f":{excerpt.clock}:{excerpt.start}+{excerpt.length}" if excerpt else ""
    return f"pkt1:{sha256}{part}"


def shape_of(digest: str) -> tuple[int, int] | None:
    """Return the sample rate and the samples in each channel that were decoded for a ``pcm1``; None for others."""
    kind, *fields = digest.split(":")
    return (int(fields[1]), int(fields[3])) if kind == "pcm1" else None


def is_of_bytes(digest: str) -> bool:
    """Tell whether a digest knows nothing of the sound."""
    return digest.startswith(_RAW1)


def bytes_of(digest: str) -> str:
    """Return the SHA-256 of a file's bytes that a ``raw1`` holds; "" for others."""
    return digest.removeprefix(_RAW1) if is_of_bytes(digest) else ""


def hash_content(path: Path, check: Callable[[], None], *, limit: int | None = None) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal.

    Args:
        path: the file.
        check: called for each MiB; raise there to stop.
        limit: bytes after which reading stops: a recording that is still growing has no end.

    Raises:
        SourceError: the file cannot be read.
        TransientError: the disk or share does not answer.
    """
    began_ns = time.time_ns()
    before = look_at(path)
    if (known := recall(before)) is not None:
        return known.sha256
    try:
        sha256 = hash_file(path, check, limit=limit).sha256
    except OSError as error:
        raise explain_os_error(path, error) from error
    keep(path, before, began_ns, Heard(sha256))
    return sha256


def recall(identity: Identity) -> Heard | None:
    """Return what was heard of a file some minutes ago at most."""
    known = _heard.recall(identity)
    return known if known is not None and time.monotonic() - known.at < _FRESH_SECONDS else None


def keep(path: Path, before: Identity, began_ns: int, heard: Heard) -> None:
    """Remember what was heard of a file, if a later write would be seen by its status; ``before`` is that it had."""
    if before.is_settled(began_ns) and look_at(path) == before:
        _heard.keep(before, heard._replace(at=time.monotonic()))
