"""One module a container family; each reads and writes single keys and the pictures of an open mutagen file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from plugin_core.tags.families import ape, asf, id3, mp4, vorbis
from plugin_core.tags.fields import Family

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from plugin_core.tags.tagset import Picture


class Access(Protocol):
    """What a family module offers; ``audio`` is a ``mutagen.FileType`` whose ``tags`` are not None."""

    def get(self, audio: Any, key: str) -> list[str]:
        """Return the values under a key of the field table, as they stand in the file."""

    def put(self, audio: Any, key: str, values: Sequence[str]) -> None:
        """Set a key to these values, or remove it when there are none."""

    def get_pictures(self, audio: Any) -> Iterator[Picture]:
        """Give every embedded picture that can be taken apart."""

    def put_pictures(self, audio: Any, pictures: Sequence[Picture]) -> None:
        """Replace all embedded pictures by these; what the container cannot hold is left out."""


ACCESS: Final[dict[Family, Access]] = {
    Family.ID3: id3,
    Family.VORBIS: vorbis,
    Family.MP4: mp4,
    Family.ASF: asf,
    Family.APE: ape,
}
"""The module of each family that can be written."""
