"""What stands in a music file, read without beets: labels by container, everything else, and the sound itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mutagen
from mutagen.id3 import ID3

from tests.audio_files import encode, write_song

SUFFIXES = ("mp3", "flac", "m4a", "ogg", "opus", "wav", "aiff")
CODECS = {"ogg": ("-c:a", "libvorbis", "-strict", "-2"), "opus": ("-c:a", "libopus"), "wav": (), "aiff": ()}
LISTS = ("mood", "scene", "vocal", "bgm", "intensity")
NAMES = (*LISTS, "genre", "language")
_ID3 = {"genre": "TCON", "language": "TLAN"}
_MP4 = {"genre": "\xa9gen"}


def make_songs(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Write a song for every format, each a recording of its own, with title, artist and a comment of a user's own."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "source.flac"
    for number, suffix in enumerate(suffixes):
        write_song(source, 0.8, seed=number)
        path = folder / f"{suffix}.{suffix}"
        encode(source, path, *CODECS.get(suffix, ()), "-ar", "48000")
        audio: Any = mutagen.File(path, easy=suffix in ("mp3", "m4a"))
        if suffix in ("wav", "aiff"):
            audio.add_tags()
            audio.tags.add(mutagen.id3.TIT2(encoding=3, text=[suffix]))
            audio.tags.add(mutagen.id3.TPE1(encoding=3, text=["Artist"]))
        else:
            audio["title"], audio["artist"] = suffix, "Artist"
        audio.save()
    source.unlink()


def read_labels(path: Path) -> dict[str, list[str]]:
    """Return the labels in a file by name; those it lacks are missing."""
    audio: Any = mutagen.File(path)
    found = {name: _read(audio, name) for name in NAMES}
    return {name: values for name, values in found.items() if values}


def read_rest(path: Path) -> dict[str, Any]:
    """Return every other tag."""
    audio: Any = mutagen.File(path)
    ours = {key for name in NAMES for key in _keys(audio, name)}
    return {key: _plain(value) for key, value in dict(audio.tags or {}).items() if key not in ours}


def _read(audio: Any, name: str) -> list[str]:
    tags = audio.tags
    if tags is None:
        return []
    for key in _keys(audio, name):
        value = tags.get(key)
        if value is not None:
            return [one.decode() if isinstance(one, bytes) else str(one) for one in getattr(value, "text", value)]
    return []


def _keys(audio: Any, name: str) -> list[str]:
    if isinstance(audio.tags, ID3):
        custom = [f"TXXX:{name.upper()}", "TMOO"] if name == "mood" else [f"TXXX:{name.upper()}"]
        return [_ID3[name]] if name in _ID3 else custom
    if type(audio).__name__ == "MP4":
        return [_MP4.get(name, f"----:com.apple.iTunes:{name.upper()}")]
    return [name]


def _plain(value: Any) -> str:
    return str(getattr(value, "text", value))
