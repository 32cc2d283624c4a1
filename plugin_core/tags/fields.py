"""The one field table: canonical name -> keys in each container family; and what a file says in its words.

Names and keys follow MusicBrainz Picard
(https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html); ``scene``, ``vocal``, ``bgm``,
``intensity``, ``provenance`` and ``label_provenance`` are our own. What is not in the table is never copied:
lyrics, replay gain, encoder, iTunNORM, cue sheets and AcoustID describe the source's very samples, not its stems.

Keys, by family:

- ID3: a frame id; ``TXXX:description``; ``COMM:description``; ``UFID:owner``; ``TIPL:role``.
- MP4: an atom; ``----:mean:name`` for a freeform atom.
- All others: the plain key.

A row with two keys writes both. ID3 mood has two because TMOO exists only in v2.4 and v2.3 readers want
TXXX:MOOD; the table so serves both versions. A field that is not in the table is a free one, ``field_of``.
Where a family has no key for a total (``totaltracks``), number and total share the number's key.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Family(StrEnum):
    """A way to store fields, which several containers share; what can be written has a module of that name."""

    ID3 = "id3"
    VORBIS = "vorbis"
    MP4 = "mp4"
    ASF = "asf"
    APE = "ape"
    RIFF = "riff"
    """LIST INFO of a WAV; only read."""


KINDS: Final = {
    "ID3": Family.ID3,
    "VComment": Family.VORBIS,
    "MP4Tags": Family.MP4,
    "ASFTags": Family.ASF,
    "APEv2": Family.APE,
}
"""The family of each of mutagen's classes of tags."""


@dataclass(frozen=True, slots=True)
class Field:
    """One row of the table."""

    name: str
    keys: Mapping[Family, tuple[str, ...]]
    """Keys that are written, all of them; the first is also read first."""
    aliases: Mapping[Family, tuple[str, ...]]
    """Keys of other writers: read when ``keys`` hold nothing, removed when the field is written."""

    def written(self, family: Family) -> tuple[str, ...]:
        """List the keys that hold the field in a family; empty when the family has none."""
        return self.keys.get(family, ())

    def read(self, family: Family) -> tuple[str, ...]:
        """List the keys to look into, in order."""
        return self.keys.get(family, ()) + self.aliases.get(family, ())


# Name | ID3 | Vorbis | MP4 | ASF | APEv2 | RIFF INFO. "-" is no key, "," separates keys, "----:X" is
# "----:com.apple.iTunes:X": the one mean that TagLib, Picard, beets and Navidrome read.
_TABLE: Final = """
title            | TIT2 | TITLE | ©nam | Title | Title | INAM
artist           | TPE1 | ARTIST | ©ART | Author | Artist | IART
artists          | TXXX:ARTISTS | ARTISTS | ----:ARTISTS | WM/ARTISTS | Artists | -
albumartist      | TPE2 | ALBUMARTIST | aART | WM/AlbumArtist | Album Artist | -
album            | TALB | ALBUM | ©alb | WM/AlbumTitle | Album | IPRD
date             | TDRC | DATE | ©day | WM/Year | Year | ICRD
originaldate     | TDOR | ORIGINALDATE | ----:ORIGINALDATE | WM/OriginalReleaseTime | ORIGINALDATE | -
genre            | TCON | GENRE | ©gen | WM/Genre | Genre | IGNR
language         | TLAN | LANGUAGE | ----:LANGUAGE | WM/Language | Language | ILNG
mood             | TMOO, TXXX:MOOD | MOOD | ----:MOOD | WM/Mood | Mood | -
scene            | TXXX:SCENE | SCENE | ----:SCENE | WM/Scene | Scene | -
vocal            | TXXX:VOCAL | VOCAL | ----:VOCAL | WM/Vocal | Vocal | -
bgm              | TXXX:BGM | BGM | ----:BGM | WM/Bgm | Bgm | -
intensity        | TXXX:INTENSITY | INTENSITY | ----:INTENSITY | WM/Intensity | Intensity | -
tracknumber      | TRCK | TRACKNUMBER | trkn | WM/TrackNumber | Track | ITRK
totaltracks      | - | TRACKTOTAL, TOTALTRACKS | - | - | - | -
discnumber       | TPOS | DISCNUMBER | disk | WM/PartOfSet | Disc | -
totaldiscs       | - | DISCTOTAL, TOTALDISCS | - | - | - | -
discsubtitle     | TSST | DISCSUBTITLE | ----:DISCSUBTITLE | WM/SetSubTitle | DiscSubtitle | -
subtitle         | TIT3 | SUBTITLE | ----:SUBTITLE | WM/SubTitle | Subtitle | -
grouping         | TIT1 | GROUPING | ©grp | WM/ContentGroupDescription | Grouping | -
work             | TXXX:WORK | WORK | ©wrk | WM/Work | WORK | -
movement         | MVNM | MOVEMENTNAME | ©mvn | - | MOVEMENTNAME | -
comment          | COMM: | COMMENT | ©cmt | Description | Comment | ICMT
bpm              | TBPM | BPM | tmpo | WM/BeatsPerMinute | BPM | -
key              | TKEY | KEY | ----:initialkey | WM/InitialKey | KEY | -
isrc             | TSRC | ISRC | ----:ISRC | WM/ISRC | ISRC | -
label            | TPUB | LABEL | ----:LABEL | WM/Publisher | Label | -
catalognumber    | TXXX:CATALOGNUMBER | CATALOGNUMBER | ----:CATALOGNUMBER | WM/CatalogNo | CatalogNumber | -
barcode          | TXXX:BARCODE | BARCODE | ----:BARCODE | WM/Barcode | Barcode | -
asin             | TXXX:ASIN | ASIN | ----:ASIN | ASIN | ASIN | -
media            | TMED | MEDIA | ----:MEDIA | WM/Media | Media | IMED
script           | TXXX:SCRIPT | SCRIPT | ----:SCRIPT | WM/Script | Script | -
compilation      | TCMP | COMPILATION | cpil | WM/IsCompilation | Compilation | -
copyright        | TCOP | COPYRIGHT | cprt | Copyright | Copyright | ICOP
license          | TXXX:LICENSE | LICENSE | ----:LICENSE | LICENSE | LICENSE | -
composer         | TCOM | COMPOSER | ©wrt | WM/Composer | Composer | IMUS
lyricist         | TEXT | LYRICIST | ----:LYRICIST | WM/Writer | Lyricist | -
conductor        | TPE3 | CONDUCTOR | ----:CONDUCTOR | WM/Conductor | Conductor | -
remixer          | TPE4 | REMIXER | ----:REMIXER | WM/ModifiedBy | MixArtist | -
arranger         | TIPL:arranger | ARRANGER | ----:ARRANGER | WM/Arranger | Arranger | -
producer         | TIPL:producer | PRODUCER | ----:PRODUCER | WM/Producer | Producer | -
engineer         | TIPL:engineer | ENGINEER | ----:ENGINEER | WM/Engineer | Engineer | IENG
mixer            | TIPL:mix | MIXER | ----:MIXER | WM/Mixer | Mixer | -
djmixer          | TIPL:DJ-mix | DJMIXER | ----:DJMIXER | WM/DJMixer | DJMixer | -
titlesort        | TSOT | TITLESORT | sonm | WM/TitleSortOrder | TITLESORT | -
artistsort       | TSOP | ARTISTSORT | soar | WM/ArtistSortOrder | ARTISTSORT | -
albumartistsort  | TSO2 | ALBUMARTISTSORT | soaa | WM/AlbumArtistSortOrder | ALBUMARTISTSORT | -
albumsort        | TSOA | ALBUMSORT | soal | WM/AlbumSortOrder | ALBUMSORT | -
composersort     | TSOC | COMPOSERSORT | soco | WM/ComposerSortOrder | COMPOSERSORT | -
releasestatus    | TXXX:MusicBrainz Album Status | RELEASESTATUS | ----:MusicBrainz Album Status \
| MusicBrainz/Album Status | MUSICBRAINZ_ALBUMSTATUS | -
releasetype      | TXXX:MusicBrainz Album Type | RELEASETYPE | ----:MusicBrainz Album Type \
| MusicBrainz/Album Type | MUSICBRAINZ_ALBUMTYPE | -
releasecountry   | TXXX:MusicBrainz Album Release Country | RELEASECOUNTRY \
| ----:MusicBrainz Album Release Country | MusicBrainz/Album Release Country | RELEASECOUNTRY | ICNT
musicbrainz_recordingid | UFID:http://musicbrainz.org | MUSICBRAINZ_TRACKID | ----:MusicBrainz Track Id \
| MusicBrainz/Track Id | MUSICBRAINZ_TRACKID | -
musicbrainz_trackid | TXXX:MusicBrainz Release Track Id | MUSICBRAINZ_RELEASETRACKID \
| ----:MusicBrainz Release Track Id | MusicBrainz/Release Track Id | MUSICBRAINZ_RELEASETRACKID | -
musicbrainz_albumid | TXXX:MusicBrainz Album Id | MUSICBRAINZ_ALBUMID | ----:MusicBrainz Album Id \
| MusicBrainz/Album Id | MUSICBRAINZ_ALBUMID | -
musicbrainz_artistid | TXXX:MusicBrainz Artist Id | MUSICBRAINZ_ARTISTID | ----:MusicBrainz Artist Id \
| MusicBrainz/Artist Id | MUSICBRAINZ_ARTISTID | -
musicbrainz_albumartistid | TXXX:MusicBrainz Album Artist Id | MUSICBRAINZ_ALBUMARTISTID \
| ----:MusicBrainz Album Artist Id | MusicBrainz/Album Artist Id | MUSICBRAINZ_ALBUMARTISTID | -
musicbrainz_releasegroupid | TXXX:MusicBrainz Release Group Id | MUSICBRAINZ_RELEASEGROUPID \
| ----:MusicBrainz Release Group Id | MusicBrainz/Release Group Id | MUSICBRAINZ_RELEASEGROUPID | -
musicbrainz_workid | TXXX:MusicBrainz Work Id | MUSICBRAINZ_WORKID | ----:MusicBrainz Work Id \
| MusicBrainz/Work Id | MUSICBRAINZ_WORKID | -
musicbrainz_discid | TXXX:MusicBrainz Disc Id | MUSICBRAINZ_DISCID | ----:MusicBrainz Disc Id \
| MusicBrainz/Disc Id | MUSICBRAINZ_DISCID | -
provenance       | TXXX:STEMBRIDGE | STEMBRIDGE | ----:STEMBRIDGE | STEMBRIDGE | STEMBRIDGE | -
label_provenance | TXXX:STEMBRIDGE_MUSICTAG | STEMBRIDGE_MUSICTAG | ----:STEMBRIDGE_MUSICTAG | STEMBRIDGE_MUSICTAG \
| STEMBRIDGE_MUSICTAG | -
"""

_ALIASES: Final[dict[str, dict[Family, tuple[str, ...]]]] = {
    "albumartist": {Family.VORBIS: ("ALBUM ARTIST",), Family.APE: ("AlbumArtist",)},
    "bpm": {Family.VORBIS: ("TEMPO",), Family.MP4: ("----:com.apple.iTunes:BPM",)},
    # ffmpeg and older writers put the comment into DESCRIPTION; ID3v1 has no description of its own.
    "comment": {Family.VORBIS: ("DESCRIPTION",), Family.ID3: ("COMM:ID3v1 Comment",)},
    "date": {Family.VORBIS: ("YEAR",), Family.APE: ("Date",)},
    "grouping": {Family.ID3: ("GRP1",), Family.VORBIS: ("CONTENTGROUP",)},
    "key": {
        Family.VORBIS: ("INITIALKEY",),
        Family.MP4: ("----:com.apple.iTunes:KEY",),
        Family.APE: ("INITIALKEY",),
    },
    "label": {Family.VORBIS: ("ORGANIZATION", "PUBLISHER"), Family.APE: ("Publisher",)},
    "tracknumber": {Family.RIFF: ("IPRT",)},
}


def _keys(cell: str) -> tuple[str, ...]:
    keys = (key.strip() for key in cell.split(","))
    return tuple(
        key.replace("----:", "----:com.apple.iTunes:") if key.startswith("----:") else key for key in keys if key != "-"
    )


def _row(line: str) -> Field:
    name, *cells = (cell.strip() for cell in line.split("|"))
    keys = {family: _keys(cell) for family, cell in zip(Family, cells, strict=True)}
    return Field(name, {family: found for family, found in keys.items() if found}, _ALIASES.get(name, {}))


FIELDS: Final[dict[str, Field]] = {row.name: row for row in map(_row, _TABLE.strip().splitlines())}
"""Every field by canonical name."""
_FREE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,39}")


def is_field_name(name: str) -> bool:
    """Tell whether a field of this name can stand in every container: one of the table, or a plain word."""
    return name in FIELDS or _FREE_NAME.fullmatch(name) is not None


def field_of(name: str) -> Field:
    """Return a row of the table, or what a field of any other name is called in each family."""
    if name in FIELDS:
        return FIELDS[name]
    upper, title = name.upper(), name.title()
    keys = {
        Family.ID3: (f"TXXX:{upper}",),
        Family.VORBIS: (upper,),
        Family.MP4: (f"----:com.apple.iTunes:{upper}",),
        Family.ASF: (f"WM/{title.replace(' ', '')}",),
        Family.APE: (title,),
    }
    return Field(name, keys, {})


COUNTED: Final = {"tracknumber": "totaltracks", "discnumber": "totaldiscs"}
"""Numbers and the totals that may share their key as ``number/total``."""


log = logging.getLogger(__name__)

T = TypeVar("T")

FRONT_COVER: Final = 3
MAX_FIELD: Final = 32 * 1024
"""Characters kept of one field; all fields together then fit a FLAC block (16 MiB)."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Picture:
    """One embedded picture; ``kind`` is the ID3 picture type 0-20, which FLAC and ASF share."""

    data: bytes
    mime: str
    kind: int = FRONT_COVER
    description: str = ""


@dataclass(frozen=True, slots=True)
class TagSet:
    """Fields by canonical name (``plugin_core.tags.fields``), each with one value or more, and pictures."""

    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()


def clean_text(text: str) -> str:
    """Drop control characters (tab and line feed stay) and replace what has no UTF-8 form."""
    plain = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", plain).strip()


def keep_wanted(held: Iterable[tuple[T, Iterable[str]]], wanted: Iterable[str]) -> tuple[list[T], tuple[str, ...]]:
    """Tell which entries of a tag may stay as they are, since they say how it is to begin, and what goes behind them.

    Args:
        held: each entry, and what it says.
        wanted: all values that the entries together are to have, in this order.
    """
    values = tuple(wanted)
    kept: list[T] = []
    said = 0
    for entry, texts in held:
        clean = clean_values("", texts)
        if clean and clean == values[said : said + len(clean)]:
            said += len(clean)
        elif not clean or not set(clean) <= set(values[:said]):
            continue
        kept.append(entry)
    return kept, values[said:]


def clean_values(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Clean a field's values: NUL separates, empty ones and repetitions go, the field's size is capped."""
    parts = (clean_text(part) for value in values for part in value.split("\0"))
    kept: list[str] = []
    room = MAX_FIELD
    for part in dict.fromkeys(part for part in parts if part):
        if room < len(part):
            log.warning("the tag %s is longer than %d characters: the rest is left out", name, MAX_FIELD)
            part = part[:room]
        if not part:
            break
        kept.append(part)
        room -= len(part)
    return tuple(kept)


MAX_PICTURE: Final = 16_000_000
"""Bytes of one picture; a FLAC block, header included, ends at 16 MiB - 1."""
MAX_PICTURES: Final = 64_000_000
"""Bytes of all pictures together."""
MAX_DESCRIPTION: Final = 256
"""Characters."""

_MAGIC: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)


def sniff_mime(data: bytes) -> str:
    """Name the picture's format from its first bytes; empty when it is none we know."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for magic, mime in _MAGIC if data.startswith(magic)), "")


def select_pictures(found: Iterable[Picture]) -> tuple[Picture, ...]:
    """Keep what can be copied: real pictures (no links), each once, within the caps; front covers first."""
    kept: dict[tuple[int, bytes], Picture] = {}
    room = MAX_PICTURES
    for picture in map(_tidy, found):
        if not picture.mime.startswith("image/") or not picture.data or (picture.kind, picture.data) in kept:
            continue
        size = len(picture.data)
        if size > min(MAX_PICTURE, room):
            log.warning("an embedded picture of %d bytes is too large: left out", size)
            continue
        room -= size
        kept[picture.kind, picture.data] = picture
    return tuple(sorted(kept.values(), key=lambda picture: picture.kind != FRONT_COVER))


def _tidy(picture: Picture) -> Picture:
    kind = picture.kind if 0 <= picture.kind <= 20 else 0
    mime = sniff_mime(picture.data) or clean_text(picture.mime).lower()[:64]
    # Latin-1 is all the MIME field of an ID3 picture can hold.
    plain = mime if mime.isascii() else ""
    return replace(picture, kind=kind, mime=plain, description=clean_text(picture.description)[:MAX_DESCRIPTION])
