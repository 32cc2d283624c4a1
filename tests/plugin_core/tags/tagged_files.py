"""Sources and stems in every container, tagged with mutagen alone, key by key, as other programs would."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen import apev2, asf, flac, id3, mp4

from tests.audio_files import encode, make_noise

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(255, -1, -1)) * 8

ID3_SOURCES = ("mp3", "mp3-v23", "wav", "aiff", "dsf")
SOURCES = (*ID3_SOURCES, "flac", "ogg", "opus", "m4a", "wma", "wv")
STEMS = ("flac", "wav", "mp3", "m4a")

_FFMPEG = {
    "opus": ["-c:a", "libopus"],
    "m4a": ["-c:a", "aac"],
    "wma": ["-c:a", "wmav2"],
    "wv": ["-c:a", "wavpack"],
    "tta": ["-c:a", "tta"],
}


def need(program: str) -> None:
    """Skip the test where a program is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def names(folder: Path) -> list[str]:
    """Return the names of all that is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def make_audio(path: Path, frames: int = 22050, channels: int = 2) -> Path:
    """Write noise without tags in the container that the name ends with."""
    kind = path.suffix[1:]
    if kind == "dsf":
        path.write_bytes(_dsf())
    elif kind in _FFMPEG:
        need("ffmpeg")
        path.write_bytes(_encode(kind, frames, channels))
    else:
        soundfile.write(path, make_noise(frames, channels), 44100)
    return path


@cache
def _encode(kind: str, frames: int, channels: int) -> bytes:
    with TemporaryDirectory() as folder:
        plain = make_audio(Path(folder, "plain.wav"), frames, channels)
        return encode(plain, plain.with_suffix(f".{kind}"), *_FFMPEG[kind], "-map_metadata", "-1").read_bytes()


def make_source(folder: Path, kind: str) -> Path:
    """Make a tagged source: title Song, two artists, 3 of 12, a JPEG front cover, and what must not be copied."""
    path = make_audio(folder / f"source.{kind.partition('-')[0]}")
    audio: Any = mutagen.File(path)
    if audio.tags is None:
        audio.add_tags()
    _TAGGERS[kind if kind in _TAGGERS else "id3" if kind in ID3_SOURCES else "vorbis"](audio)
    if kind == "mp3-v23":
        audio.tags.update_to_v23()
        audio.save(v2_version=3, v23_sep=None)
    else:
        audio.save()
    return path


def audio_digest(path: Path) -> str:
    """Hash the decoded samples."""
    if path.suffix in {".wav", ".flac", ".mp3"}:
        samples, _ = soundfile.read(path, dtype="int32")
        return hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()
    need("ffmpeg")
    command: list[str | Path] = ["ffmpeg", "-v", "error", "-i", path, "-map", "0:a", "-f", "md5", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def probe(path: Path) -> dict[str, str]:
    """Return the tags as ffprobe sees them, names in lower case; those of an Ogg are its stream's."""
    need("ffprobe")
    shown = ["-show_format", "-show_streams", "-select_streams", "a:0"]
    command: list[str | Path] = ["ffprobe", "-v", "error", *shown, "-of", "json", path]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    tags = found["streams"][0].get("tags", {}) | found["format"].get("tags", {})
    return {name.lower(): value for name, value in tags.items()}


def stream_digest(path: Path) -> str:
    """Hash the coded audio as ffmpeg takes it out of its container."""
    return stream_digests(path)[0]


def stream_digests(*paths: Path) -> list[str]:
    """Hash the coded audio of several files by one ffmpeg, which takes long to start."""
    need("ffmpeg")
    command: list[str | Path] = ["ffmpeg", "-v", "error"]
    with TemporaryDirectory() as folder:
        outs = [Path(folder, str(number)) for number in range(len(paths))]
        for path in paths:
            command += ["-i", path]
        for number, out in enumerate(outs):
            command += ["-map", f"{number}:a", "-c", "copy", "-f", "md5", out]
        subprocess.run(command, check=True, capture_output=True)
        return [out.read_text() for out in outs]


def _tag_id3(audio: Any) -> None:
    texts = {
        "TIT2": ["Sông"], "TPE1": ["Ann", "Bob"], "TPE2": ["Ann"], "TALB": ["Album"], "TDRC": ["2001"],
        "TCON": ["Rock", "Pop"], "TRCK": ["3/12"], "TPOS": ["1/2"], "TCOM": ["Cy"], "TBPM": ["128"], "TKEY": ["Am"],
        "TSRC": ["USS1Z9900001"], "TPUB": ["Label"], "TLAN": ["eng"], "TSSE": ["Encoder"],
    }  # fmt: skip
    for name, values in texts.items():
        audio.tags.add(id3.Frames[name](encoding=1, text=values))
    audio.tags.add(id3.TXXX(encoding=1, desc="MOOD", text=["Happy"]))
    audio.tags.add(id3.TXXX(encoding=1, desc="MusicBrainz Album Id", text=["album-id"]))
    audio.tags.add(id3.TXXX(encoding=1, desc="REPLAYGAIN_TRACK_GAIN", text=["-6 dB"]))
    audio.tags.add(id3.UFID(owner="http://musicbrainz.org", data=b"recording-id"))
    audio.tags.add(id3.COMM(encoding=1, lang="deu", desc="", text=["A comment"]))
    audio.tags.add(id3.COMM(encoding=0, lang="eng", desc="iTunNORM", text=[" 0000"]))
    audio.tags.add(id3.USLT(encoding=1, lang="eng", desc="", text="La la"))
    audio.tags.add(id3.APIC(encoding=0, mime="image/jpg", type=3, desc="", data=JPEG))


def _tag_vorbis(audio: Any) -> None:
    audio.tags.update(
        title=["Sông"], artist=["Ann", "Bob"], albumartist=["Ann"], album=["Album"], date=["2001"],
        genre=["Rock", "Pop"], tracknumber=["3"], tracktotal=["12"], discnumber=["1"], disctotal=["2"], composer=["Cy"],
        bpm=["128"], initialkey=["Am"], isrc=["USS1Z9900001"], label=["Label"], language=["eng"], mood=["Happy"],
        musicbrainz_albumid=["album-id"], musicbrainz_trackid=["recording-id"], comment=["A comment"],
        encoder=["Encoder"], lyrics=["La la"], replaygain_track_gain=["-6 dB"], acoustid_fingerprint=["AQAA"],
    )  # fmt: skip
    cover = flac.Picture()
    cover.data, cover.mime, cover.type = JPEG, "image/jpeg", 3
    if isinstance(audio, flac.FLAC):
        audio.add_picture(cover)
    else:
        audio.tags["metadata_block_picture"] = [base64.b64encode(cover.write()).decode()]


def _tag_mp4(audio: Any) -> None:
    audio.tags.update({
        "©nam": ["Sông"], "©ART": ["Ann", "Bob"], "aART": ["Ann"], "©alb": ["Album"], "©day": ["2001"],
        "©gen": ["Rock", "Pop"], "trkn": [(3, 12)], "disk": [(1, 2)], "©wrt": ["Cy"], "tmpo": [128],
        "©cmt": ["A comment"], "©too": ["Encoder"], "©lyr": ["La la"],
        "covr": [mp4.MP4Cover(JPEG, mp4.MP4Cover.FORMAT_JPEG)],
    })  # fmt: skip
    freeform = {
        "initialkey": "Am", "ISRC": "USS1Z9900001", "LABEL": "Label", "LANGUAGE": "eng", "mood": "Happy",
        "MusicBrainz Album Id": "album-id", "MusicBrainz Track Id": "recording-id", "iTunNORM": " 0000",
    }  # fmt: skip
    for name, value in freeform.items():
        audio.tags[f"----:com.apple.iTunes:{name}"] = [value.encode()]


def _tag_asf(audio: Any) -> None:
    audio.tags.update({
        "Title": ["Sông"], "Author": ["Ann", "Bob"], "WM/AlbumArtist": ["Ann"], "WM/AlbumTitle": ["Album"],
        "WM/Year": ["2001"], "WM/Genre": ["Rock", "Pop"], "WM/TrackNumber": ["3/12"], "WM/PartOfSet": ["1/2"],
        "WM/Composer": ["Cy"], "WM/BeatsPerMinute": ["128"], "WM/InitialKey": ["Am"], "WM/ISRC": ["USS1Z9900001"],
        "WM/Publisher": ["Label"], "WM/Language": ["eng"], "WM/Mood": ["Happy"], "Description": ["A comment"],
        "MusicBrainz/Album Id": ["album-id"], "MusicBrainz/Track Id": ["recording-id"], "WM/Lyrics": ["La la"],
    })  # fmt: skip
    head = struct.pack("<BI", 3, len(JPEG)) + "image/jpeg\0\0".encode("utf-16-le")
    audio.tags["WM/Picture"] = [asf.ASFByteArrayAttribute(head + JPEG)]  # type: ignore[attr-defined, no-untyped-call]


def _tag_ape(audio: Any) -> None:
    audio.tags.update({
        "Title": "Sông", "Artist": ["Ann", "Bob"], "Album Artist": "Ann", "Album": "Album", "Year": "2001",
        "Genre": ["Rock", "Pop"], "Track": "3/12", "Disc": "1/2", "Composer": "Cy", "BPM": "128", "KEY": "Am",
        "ISRC": "USS1Z9900001", "Label": "Label", "Language": "eng", "Mood": "Happy", "Comment": "A comment",
        "MUSICBRAINZ_ALBUMID": "album-id", "MUSICBRAINZ_TRACKID": "recording-id", "Lyrics": "La la",
        "REPLAYGAIN_TRACK_GAIN": "-6 dB", "Cuesheet": "FILE",
    })  # fmt: skip
    audio.tags["Cover Art (Front)"] = apev2.APEValue(b"cover.jpg\0" + JPEG, apev2.BINARY)


_TAGGERS = {"id3": _tag_id3, "vorbis": _tag_vorbis, "m4a": _tag_mp4, "wma": _tag_asf, "wv": _tag_ape}


def _dsf() -> bytes:
    """Return one block of silence in DSF, one channel (Sony's DSF File Format Specification 1.01)."""
    samples = b"\x69" * 4096
    form = b"fmt " + struct.pack("<QIIIIIIQII", 52, 1, 0, 1, 1, 2822400, 1, 4096 * 8, 4096, 0)
    data = b"data" + struct.pack("<Q", 12 + len(samples)) + samples
    return b"DSD " + struct.pack("<QQQ", 28, 28 + len(form) + len(data), 0) + form + data
