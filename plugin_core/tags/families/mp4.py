"""MP4 atoms: M4A, MP4, ALAC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mutagen.mp4 import AtomDataType, MP4Cover, MP4FreeForm

from plugin_core.tags.tagset import FRONT_COVER, Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PAIRS: Final = frozenset({"trkn", "disk"})
_MAX_16: Final = 0xFFFF
_FORMATS: Final = {"image/jpeg": AtomDataType.JPEG, "image/png": AtomDataType.PNG, "image/bmp": AtomDataType.BMP}
_MIMES: Final = {int(number): mime for mime, number in _FORMATS.items()}


def get(audio: Any, key: str) -> list[str]:
    """Return the values under an atom; pairs come as ``number/total``, a set flag as ``1``."""
    if key.startswith("----:"):
        return [
            bytes(value).decode("utf-8", "replace") for found in _spellings(audio, key) for value in audio.tags[found]
        ]
    value = audio.tags.get(key)
    if value is None:
        return []
    if isinstance(value, bool):
        return ["1"] if value else []
    if key in _PAIRS:
        return [f"{number}/{total}" for number, total in value]
    return [str(one) for one in value]


def put(audio: Any, key: str, values: Sequence[str]) -> None:
    """Set an atom to these values, or remove it when none can be stored (``trkn`` and ``tmpo`` take numbers only)."""
    for found in _spellings(audio, key):
        del audio.tags[found]
    value = _value(key, values)
    if value:
        audio.tags[key] = value


def get_pictures(audio: Any) -> Iterator[Picture]:
    """Give the covers: MP4 names no types, so the first is the front cover and the others are "other"."""
    for number, cover in enumerate(audio.tags.get("covr", [])):
        mime = _MIMES.get(int(getattr(cover, "imageformat", 0)), "")
        yield Picture(bytes(cover), mime, 0 if number else FRONT_COVER)


def put_pictures(audio: Any, pictures: Sequence[Picture]) -> None:
    """Replace the covers; only JPEG, PNG and BMP have a place in MP4."""
    covers = [MP4Cover(one.data, _FORMATS[one.mime]) for one in pictures if one.mime in _FORMATS]
    if covers:
        audio.tags["covr"] = covers
    else:
        audio.tags.pop("covr", None)


def _spellings(audio: Any, key: str) -> list[str]:
    # Programs disagree about the case of freeform names.
    if key.startswith("----:"):
        return [str(other) for other in audio.tags if other.lower() == key.lower()]
    return [key] if key in audio.tags else []


def _value(key: str, values: Sequence[str]) -> Any:
    if key.startswith("----:"):
        return [MP4FreeForm(value.encode(), AtomDataType.UTF8) for value in values]
    if key in _PAIRS:
        return [pair for pair in map(_pair, values[:1]) if any(pair)]
    if key == "tmpo":
        return [number for number in map(_number, values[:1]) if number]
    if key == "cpil":
        return "1" in values
    return list(values)


def _pair(text: str) -> tuple[int, int]:
    number, _, total = text.partition("/")
    return _number(number), _number(total)


def _number(text: str) -> int:
    """Round to what 16 bits hold; 0, MP4's word for "not known", for anything else."""
    try:
        number = round(float(text))
    except (ValueError, OverflowError):
        return 0
    return number if 0 < number <= _MAX_16 else 0
