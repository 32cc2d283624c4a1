"""Labels put into a file's tags, one module a family; all that stands beside them stays as it was, to the byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from plugin_core.tags.fields import Family
from plugin_core.tags.files import TaggedFile
from plugin_core.tags.raw import ape, asf, id3, mp4, vorbis

Put = Callable[[TaggedFile, Mapping[str, tuple[str, ...]]], None]
"""Set keys of the field table to values in a file opened as an overlay; a key without values goes."""

PUT: Final[dict[Family, Put]] = {
    Family.ID3: id3.put,
    Family.VORBIS: vorbis.put,
    Family.MP4: mp4.put,
    Family.ASF: asf.put,
    Family.APE: ape.put,
}
