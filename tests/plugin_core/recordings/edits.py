"""What programs do to songs without changing how they sound: tags, covers, remuxes, other containers and depths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutagen
import pytest
from mediafile import MediaFile
from mutagen import flac, id3, mp4

IN_PLACE: dict[str, tuple[str, tuple[str, ...]]] = {
    "metaflac tag": ("flac", ("metaflac", "--set-tag=TITLE=other", "{song}")),
    "metaflac cover": ("flac", ("metaflac", "--import-picture-from={cover}", "{song}")),
    "metaflac nothing": ("flac", ("metaflac", "--remove-all", "--dont-use-padding", "{song}")),
    "metaflac replay gain": ("flac", ("metaflac", "--add-replay-gain", "{song}")),
    "vorbiscomment": ("ogg", ("vorbiscomment", "-w", "-t", "TITLE=" + "long " * 2000, "{song}")),
    "AtomicParsley tag": ("m4a", ("AtomicParsley", "{song}", "--title", "other", "--overWrite")),
    "AtomicParsley cover": ("m4a", ("AtomicParsley", "{song}", "--artwork", "{cover}", "--overWrite")),
    "exiftool": ("m4a", ("exiftool", "-q", "-overwrite_original", "-Title=other", "{song}")),
    "exiftool, ALAC": ("alac.m4a", ("exiftool", "-q", "-overwrite_original", "-Title=other", "{song}")),
    "eyeD3 tag": ("mp3", ("eyeD3", "-Q", "-t", "other", "{song}")),
    "eyeD3 cover": ("mp3", ("eyeD3", "-Q", "--add-image", "{cover}:FRONT_COVER", "{song}")),
    "eyeD3 version 1": ("mp3", ("eyeD3", "-Q", "-1", "-t", "other", "{song}")),
    "eyeD3 nothing": ("mp3", ("eyeD3", "-Q", "--remove-all", "{song}")),
    "mp3gain, tags only": ("mp3", ("mp3gain", "-q", "-s", "r", "{song}")),
    "mp3gain, ID3": ("mp3", ("mp3gain", "-q", "-s", "i", "{song}")),
    "wvtag": ("wv", ("wvtag", "-q", "-y", "-w", "Title=other", "{song}")),
}
"""By name: which song, and the command that edits it."""

INTO_NEW: dict[str, tuple[str, str, tuple[str, ...]]] = {
    # Lossless, another form
    "flac -0": ("wav", "new.flac", ("flac", "-s", "-0", "-o", "{new}", "{song}")),
    "flac -8 of FLAC": ("flac", "new.flac", ("flac", "-s", "-8", "-o", "{new}", "{song}")),
    "flac --ogg": ("wav", "new.oga", ("flac", "-s", "--ogg", "-o", "{new}", "{song}")),
    "flac without MD5": ("wav", "new.flac", ("flac", "-s", "--no-md5-sum", "-o", "{new}", "{song}")),
    "flac -d": ("flac", "new.wav", ("flac", "-s", "-d", "-o", "{new}", "{song}")),
    "flac -d into AIFF": ("flac", "new.aiff", ("flac", "-s", "-d", "-o", "{new}", "{song}")),
    "wavpack -h -m": ("wav", "new.wv", ("wavpack", "-q", "-h", "-m", "{song}", "-o", "{new}")),
    "wvunpack": ("wv", "new.wav", ("wvunpack", "-q", "{song}", "-o", "{new}")),
    "sox 24 bits": ("wav", "new.wav", ("sox", "-D", "{song}", "-b", "24", "{new}")),
    "sox 32 bits": ("wav", "new.wav", ("sox", "-D", "{song}", "-b", "32", "{new}")),
    "sox float": ("wav", "new.wav", ("sox", "-D", "{song}", "-e", "floating-point", "-b", "32", "{new}")),
    "sox AU": ("wav", "new.au", ("sox", "-D", "{song}", "{new}")),
    "sox W64": ("wav", "new.w64", ("sox", "-D", "{song}", "{new}")),
    "sox CAF": ("wav", "new.caf", ("sox", "-D", "{song}", "{new}")),
    "sox FLAC of AIFF": ("aiff", "new.flac", ("sox", "-D", "{song}", "{new}")),
    "ffmpeg double": ("wav", "new.wav", ("ffmpeg", "-i", "{song}", "-c:a", "pcm_f64le", "{new}")),
    "ffmpeg RF64": ("wav", "new.wav", ("ffmpeg", "-i", "{song}", "-rf64", "always", "{new}")),
    "ffmpeg CAF, little endian": ("wav", "new.caf", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg FLAC 24 bits": ("wav", "new.flac", ("ffmpeg", "-i", "{song}", "-sample_fmt", "s32", "{new}")),
    "ffmpeg WavPack of ALAC": ("alac.m4a", "new.wv", ("ffmpeg", "-i", "{song}", "{new}")),
    "ffmpeg ALAC of TTA": ("tta", "new.m4a", ("ffmpeg", "-i", "{song}", "-c:a", "alac", "{new}")),
    "ffmpeg FLAC of WavPack": ("wv", "new.flac", ("ffmpeg", "-i", "{song}", "{new}")),
    "ffmpeg PCM in Matroska": ("wav", "new.mka", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg PCM in MOV": ("wav", "new.mov", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    # Remuxes
    "ffmpeg FLAC into Ogg": ("flac", "new.oga", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg FLAC into Matroska": ("flac", "new.mka", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg FLAC into MP4": ("flac", "new.mp4", ("ffmpeg", "-i", "{song}", "-c", "copy", "-strict", "-2", "{new}")),
    "ffmpeg MP3": ("mp3", "new.mp3", ("ffmpeg", "-i", "{song}", "-c", "copy", "-write_xing", "0", "{new}")),
    "ffmpeg MP3, LAME": ("vbr.mp3", "new.mp3", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg MP3 into Matroska": ("mp3", "new.mka", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg MP3 into MP4": ("mp3", "new.mp4", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg MP3 into AVI": ("mp3", "new.avi", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg MP2 into TS": ("mp2", "new.ts", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg Vorbis": ("ogg", "new.ogg", ("ffmpeg", "-i", "{song}", "-c", "copy", "-page_duration", "100000", "{new}")),
    "ffmpeg Vorbis into Matroska": ("ogg", "new.mka", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg Opus": ("opus", "new.opus", ("ffmpeg", "-i", "{song}", "-c", "copy", "-page_duration", "100000", "{new}")),
    "ffmpeg Opus into WebM": ("opus", "new.webm", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg Opus into MP4": ("opus", "new.mp4", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg AAC into ADTS": ("m4a", "new.aac", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg AAC into Matroska": ("m4a", "new.mka", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg AAC into TS": ("m4a", "new.ts", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "ffmpeg AAC, fast start": (
        "m4a",
        "new.m4a",
        ("ffmpeg", "-i", "{song}", "-c", "copy", "-movflags", "+faststart", "{new}"),
    ),
    "ffmpeg AAC, fragmented": (
        "m4a",
        "new.m4a",
        ("ffmpeg", "-i", "{song}", "-c", "copy", "-movflags", "+frag_keyframe+empty_moov", "{new}"),
    ),
    "ffmpeg AAC into a video": (
        "m4a",
        "new.mp4",
        (
            *("ffmpeg", "-f", "lavfi", "-i", "color=s=32x32:d=3", "-i", "{song}", "-map", "0:v", "-map", "1:a"),
            *("-c:v", "mpeg4", "-c:a", "copy", "{new}"),
        ),
    ),
    "ffmpeg WMA into Matroska": ("wma", "new.mka", ("ffmpeg", "-i", "{song}", "-c", "copy", "{new}")),
    "mkvmerge MP3": ("mp3", "new.mka", ("mkvmerge", "-q", "-o", "{new}", "{song}")),
    "mkvmerge MP3, LAME": ("vbr.mp3", "new.mka", ("mkvmerge", "-q", "-o", "{new}", "{song}")),
    "mkvmerge Vorbis": ("ogg", "new.mka", ("mkvmerge", "-q", "-o", "{new}", "{song}")),
    "mkvmerge Opus": ("opus", "new.mka", ("mkvmerge", "-q", "-o", "{new}", "{song}")),
    "mkvmerge AAC": ("m4a", "new.mka", ("mkvmerge", "-q", "-o", "{new}", "{song}")),
    "mkvmerge FLAC": ("flac", "new.mka", ("mkvmerge", "-q", "-o", "{new}", "{song}")),
    "mkvmerge WavPack": ("wv", "new.mka", ("mkvmerge", "-q", "-o", "{new}", "{song}")),
    "mkvmerge WAV": ("wav", "new.mka", ("mkvmerge", "-q", "-o", "{new}", "{song}")),
}
"""By name: which song, what becomes of it, and the command."""


def _tag(path: Path, _cover: Path) -> None:
    audio: Any = mutagen.File(path)
    if audio.tags is None:
        audio.add_tags()
    if isinstance(audio.tags, id3.ID3):
        audio.tags.add(id3.TIT2(encoding=3, text=["other"]))
    elif isinstance(audio, mp4.MP4):
        audio.tags["©nam"] = ["other" * 1000]
    else:
        audio.tags["Title"] = ["other" * 1000]
    audio.save()


def _strip(path: Path, _cover: Path) -> None:
    mutagen.File(path).delete()


def _illustrate(path: Path, cover: Path) -> None:
    audio: Any = mutagen.File(path)
    if isinstance(audio, flac.FLAC):
        picture = flac.Picture()
        picture.type, picture.mime, picture.data = 3, "image/jpeg", cover.read_bytes()
        audio.add_picture(picture)
    elif isinstance(audio, mp4.MP4):
        audio["covr"] = [mp4.MP4Cover(cover.read_bytes())]
    else:
        if audio.tags is None:
            audio.add_tags()
        audio.tags.add(id3.APIC(encoding=3, mime="image/jpeg", type=3, desc="", data=cover.read_bytes()))
    audio.save()


def _tag_with_taglib(path: Path, _cover: Path) -> None:
    taglib = pytest.importorskip("taglib")
    with taglib.File(path, save_on_exit=True) as song:
        song.tags["TITLE"] = ["other" * 1000]


def _tag_with_mediafile(path: Path, _cover: Path) -> None:
    song = MediaFile(path)
    song.title, song.comments = "other", "c" * 5000
    song.save()


TAGGABLE = ("mp3", "vbr.mp3", "flac", "ogg", "opus", "m4a", "alac.m4a", "wma", "wv", "wav", "aiff", "tta")

BY_LIBRARY: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    **{f"mutagen tag, {kind}": (kind, _tag) for kind in TAGGABLE},
    **{f"mutagen nothing, {kind}": (kind, _strip) for kind in TAGGABLE},
    **{f"mutagen cover, {kind}": (kind, _illustrate) for kind in ("mp3", "flac", "m4a", "alac.m4a", "wav", "aiff")},
    **{f"TagLib, {kind}": (kind, _tag_with_taglib) for kind in TAGGABLE},
    **{f"mediafile, {kind}": (kind, _tag_with_mediafile) for kind in TAGGABLE if kind != "tta"},
}
"""By name: which song, and what edits it."""
