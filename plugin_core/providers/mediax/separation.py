"""What can be asked of MediaX's source separation, and where its stems go in the bucket.

https://multimedia.tencent.com/docs/smart-music/api/source-separation
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from plugin_core.errors import UsageError
from plugin_core.model import Model

NAME: Final = "mediax_stems"
DEFAULT: Final = "two-stems"

_BYTES: Final = 10
"""Of the hash: a prefix of 19 characters; the documentation wants fewer than 20 of ``outputPrefix``."""


class Method(msgspec.Struct, frozen=True):
    """One way to split."""

    number: int
    title: str
    stems: tuple[str, ...]
    """Canonical names."""

    @property
    def accompaniment(self) -> str:
        """What this method's accompaniment is: all but the vocals, or what the other stems leave."""
        return "instrumental" if "instrumental" in self.stems else "other"


METHODS: Final[Mapping[str, Method]] = {
    "two-stems": Method(1, "Two stems", ("vocals", "instrumental")),
    "four-stems": Method(2, "Four stems", ("vocals", "drums", "bass", "other")),
    "five-stems": Method(3, "Five stems", ("vocals", "drums", "bass", "piano", "other")),
}


class Place(msgspec.Struct, frozen=True):
    """Where one job's stems go: a folder of its own, and names of their own in it."""

    folder: str
    """``destination``, without a slash at either end."""
    prefix: str
    """``outputPrefix``; also the last part of the folder, so that a service that ignores one keeps to the other."""

    def owns(self, name: str) -> bool:
        """Tell whether an object surely belongs to the job: a part of its name begins with our own mark."""
        return any(part.startswith(self.prefix) for part in name.split("/"))


def list_models() -> tuple[Model, ...]:
    """Return the three methods."""
    return tuple(
        Model(
            id=name,
            name=f"{method.title} (experimental)",
            stems=method.stems,
            price="billed by MediaX",
            access="registered",
            summary="source separation; experimental: never tried against the live service",
        )
        for name, method in METHODS.items()
    )


def find_method(name: str) -> Method:
    """Return the method of a model.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in METHODS:
        raise UsageError(f"unknown model {name!r} of {NAME}", remedy=f"there are {', '.join(METHODS)}")
    return METHODS[name]


def make_place(destination: str, key: str) -> Place:
    """Return where a job's stems go; equal keys give equal places.

    Args:
        destination: folder for all jobs; "" for the bucket's root.
        key: the submission key.
    """
    digest = hashlib.sha256(key.encode()).digest()[:_BYTES]
    prefix = f"sb-{base64.b32encode(digest).decode().lower()}"
    return Place("/".join(part for part in (destination.strip("/"), prefix) if part), prefix)


def output(method: Method, content_id: str, place: Place) -> dict[str, Any]:
    """Return the output that asks for stems."""
    return {
        "contentId": content_id,
        "destination": place.folder,
        "smartContentDescriptor": {"outputPrefix": place.prefix, "musicSeperate": {"method": method.number}},
    }
