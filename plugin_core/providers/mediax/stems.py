"""MediaX's source separation: what can be asked, where stems go in the bucket, and what a finished job names."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from plugin_core.errors import ServiceError, UsageError
from plugin_core.model import Model, RemoteFile, disarm
from plugin_core.providers.mediax.answers import list_contents
from plugin_core.stem_names import canonical, distinct

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


class StemPlace(msgspec.Struct, frozen=True):
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


def make_place(destination: str, key: str) -> StemPlace:
    """Return where a job's stems go; equal keys give equal places.

    Args:
        destination: folder for all jobs; "" for the bucket's root.
        key: the submission key.
    """
    digest = hashlib.sha256(key.encode()).digest()[:_BYTES]
    prefix = f"sb-{base64.b32encode(digest).decode().lower()}"
    return StemPlace("/".join(part for part in (destination.strip("/"), prefix) if part), prefix)


def output(method: Method, content_id: str, place: StemPlace) -> dict[str, Any]:
    return {
        "contentId": content_id,
        "destination": place.folder,
        "smartContentDescriptor": {"outputPrefix": place.prefix, "musicSeperate": {"method": method.number}},
    }


ACCOMPANIMENT: Final = "accompaniment"
TONES: Final = {"1": "vocals", "2": "drums", "3": "bass", "4": "piano", "5": ACCOMPANIMENT}
"""``tone`` is a number: 1, 2, 3 and 5 stand in the vendor's demo page, 4 is what is left."""

LONGEST_NAME: Final = 850
"""Bytes the name of an object can have in COS."""

_WORDS: Final = {
    "vocals": "人声 主唱 歌声 vocal voice singing",
    "drums": "鼓 鼓点 鼓声 drum percussion",
    "bass": "贝斯 贝司 低音",
    "piano": "钢琴",
    ACCOMPANIMENT: "伴奏 其他 other others instrumental instrument accompany backing",
}
_MEANT: Final = {word: tone for tone, words in _WORDS.items() for word in (tone, *words.split())}
_FILE_KEYS: Final = frozenset({"filename", "file", "url", "path"})
_DEEPEST: Final = 5


def read_stems(job: Mapping[str, Any], method: Method) -> tuple[RemoteFile, ...]:
    """Return one result for each file that the service names, with stem names that differ.

    Args:
        job: the job as the service describes it.
        method: that was asked for.

    Returns:
        None of it where it names none.

    Raises:
        ServiceError: it names something that is no name.
    """
    found = dict.fromkeys(entry for result in list_contents(job) for entry in _entries(result, _DEEPEST))
    stems = [_stem(tone, name, method) for name, tone in found]
    return tuple(
        RemoteFile(
            label=stem if tone.isdigit() else tone or stem,
            stem=unique,
            name=strip(name).rpartition("/")[2],
            url=strip(name),
        )
        for (name, tone), stem, unique in zip(found, stems, distinct(stems), strict=True)
    )


def find_address(job: Mapping[str, Any], file: RemoteFile) -> str:
    """Return the whole URL of a result that is one; "" when the job does not name it any more."""
    for result in list_contents(job):
        for name, _ in _entries(result, _DEEPEST):
            if is_address(name) and strip(name) == file.url:
                return name
    return ""


def is_address(name: str) -> bool:
    """Tell whether a file's name is a whole URL."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name))


def strip(name: str) -> str:
    """Return a file's name as it may be kept: of a URL neither query nor fragment, which may hold a signature."""
    return re.split(r"[?#]", name, maxsplit=1)[0] if is_address(name) else name.lstrip("/")


def object_name(file: RemoteFile) -> str:
    """Return the object that a result's name means: the path of a URL, else the name itself.

    Raises:
        ServiceError: it is no URL.
    """
    if not is_address(file.url):
        return file.url
    try:
        return unquote(urlsplit(file.url).path).lstrip("/")
    except ValueError:
        raise ServiceError(f"MediaX names {disarm(file.url)[:200]!r} as a result, which is no address") from None


def _entries(value: object, depth: int) -> Iterator[tuple[str, str]]:
    """Yield file name and tone of every entry, whatever the lists and objects around them are called."""
    if depth == 0:
        return
    if isinstance(value, list):
        for each in value:
            yield from _entries(each, depth - 1)
    elif isinstance(value, Mapping):
        name = next((text for key, text in value.items() if _is_file(key) and isinstance(text, str) and text), "")
        if name:
            yield _checked(name.strip()), _tone(value.get("tone"))
            return
        for each in value.values():
            yield from _entries(each, depth - 1)


def _is_file(key: object) -> bool:
    return str(key).replace("_", "").lower() in _FILE_KEYS


def _tone(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = " ".join(str(int(value) if isinstance(value, float) and value.is_integer() else value).split())
    return disarm(text)[:60]


def _checked(name: str) -> str:
    """Return a file's name, if it can be one.

    Raises:
        ServiceError: it can climb out of its folder, or holds what no name holds.
    """
    path = unquote(strip(name)) if is_address(name) else strip(name)
    parts = path.split("://")[-1].split("/")
    is_odd = not path or any(part in (".", "..") for part in parts) or not path.isprintable() or "\\" in path
    if is_odd or len(path.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        raise ServiceError(f"MediaX names {disarm(strip(name))[:100]!r} as a result, which is no object's name")
    return name


def _stem(tone: str, name: str, method: Method) -> str:
    """Return the canonical stem of a result: by its tone, else by a word in its file's name."""
    meant = TONES.get(tone) or _meaning(tone)
    is_silent = not tone or tone.isdigit()
    if not meant and is_silent:
        words = re.split(r"[\W_\d]+", unquote(strip(name)).rpartition("/")[2].rpartition(".")[0])
        meant = next((found for word in words if (found := _meaning(word))), "")
    if meant == ACCOMPANIMENT:
        return method.accompaniment
    return canonical(meant or ("part" if is_silent else tone))


def _meaning(word: str) -> str:
    plain = word.strip().casefold()
    if plain in _MEANT:
        return _MEANT[plain]
    stem = canonical(word) if plain else ""
    return ACCOMPANIMENT if stem in ("instrumental", "other") else stem if stem in _MEANT else ""
