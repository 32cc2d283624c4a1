"""The texts of digests, and what can be read from them."""

from __future__ import annotations

from typing import Final

from plugin_core.recordings.mp4 import Span

_RAW1: Final = "raw1:"


def raw1(sha256: str) -> str:
    """Return the digest of a file's bytes, of which the SHA-256 is known."""
    return f"{_RAW1}{sha256}"


def pkt1(sha256: str, span: Span | None) -> str:
    """Return the digest of coded packets, or of the part of them that is played."""
    part = f":{span.clock}:{span.start}+{span.length}" if span else ""
    return f"pkt1:{sha256}{part}"


def whole_of(digest: str) -> tuple[str, Span | None]:
    """Return the digest of the recording that a part was cut out of, and which part it is; None is all of it."""
    kind, _, rest = digest.partition(":")
    sha256, _, part = rest.partition(":")
    if kind != "pkt1" or not part:
        return digest, None
    clock, _, place = part.partition(":")
    start, _, length = place.partition("+")
    return pkt1(sha256, None), Span(int(start), int(length), int(clock))


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
