"""Labels in every container, by every policy, over a user's own odd values: read back by programs that are not ours."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import mediafile
import mutagen
import pytest
from mutagen import apev2, id3
from mutagen.flac import FLAC
from mutagen.oggvorbis import OggVorbis

from plugin_core.model import Label, Tagging, Written
from plugin_core.operations.undo import take_apart, take_back
from plugin_core.tags.exchange import ReplaceOptions
from plugin_core.tags.labels import decide, field_names
from plugin_core.tags.pieces import lay_over
from plugin_core.tags.reader import read_labels
from plugin_core.tags.riff import read_info
from plugin_core.tags.tagger import Writing, restore_exactly, restore_fields, write_labels
from plugin_core.tags.writer import rewrite
from plugin_core.wishes import MoodFrames
from tests.plugin_core.tags.tagged_files import make_audio, need, probe, stream_digests

FOUND = tuple(
    Label(dimension=dimension, value=english, english=english, probability=0.9)
    for dimension, english in {
        "mood": "Calm", "genre": "Rock", "language": "Mandarin", "scene": "Cafe", "vocal": "Vocal",
        "bgm": "With Background Music", "intensity": "Soothing", "energy": "high", "bpm": "121",
    }.items()
)  # fmt: skip
WRITTEN = {
    "mood": "Calm", "genre": "Rock", "language": "zho", "scene": "Cafe", "vocal": "Vocal",
    "bgm": "With Background Music", "intensity": "Soothing", "energy": "high", "bpm": "121",
}  # fmt: skip
GENRE = "Techno (Peak / Time)"
MOOD = "Happy; Wild"
POLICIES = ("fill", "append", "replace")

Tag = Callable[[Path], None]


def label(path: Path, options: ReplaceOptions | None = None, **words: Any) -> Written:
    """Write all labels."""
    wish = Tagging(provider="ears", **words)
    names = (*field_names(wish), "energy", "bpm")
    writing = Writing(path, "mark", options or ReplaceOptions(), names=names)
    return write_labels(writing, lambda existing: decide(FOUND, wish, existing), lambda _written: None)


def _id3(version: int, mood: str = "TXXX:mood") -> Tag:
    def tag(path: Path) -> None:
        audio: Any = mutagen.File(path)
        if audio.tags is None:
            audio.add_tags()
        audio.tags.add(id3.TIT2(encoding=3, text=["Song"]))
        audio.tags.add(id3.TCON(encoding=3, text=[GENRE]))
        audio.tags.add(id3.TXXX(encoding=3, desc=mood.partition(":")[2], text=[MOOD]))
        audio.save(v2_version=version)

    return tag


def _id3v22(path: Path) -> None:
    """Give a file the oldest ID3v2 there is, which no writer here makes."""
    texts = {b"TT2": "Song", b"TCO": GENRE, b"TXX": f"mood\0{MOOD}", b"COM": "eng\0as it was"}
    body = b"".join(key + (len(text) + 1).to_bytes(3, "big") + b"\0" + text.encode() for key, text in texts.items())
    path.write_bytes(b"ID3\2\0\0\0\0\0" + bytes((len(body),)) + body + path.read_bytes())


def _keys(genre: str, mood: str, title: str = "TITLE", **odd: Any) -> Tag:
    def tag(path: Path) -> None:
        audio: Any = mutagen.File(path)
        if audio.tags is None:
            audio.add_tags()
        audio.tags.update({title: ["Song"], genre: [GENRE], mood: [MOOD.encode() if mood[0] == "-" else MOOD], **odd})
        audio.save()

    return tag


def _beside(tag: Tag) -> Tag:
    """Put an APEv2 tag beside another."""

    def both(path: Path) -> None:
        tag(path)
        ape = apev2.APEv2()
        ape.update({"Title": "Song", "Genre": "Dub"})
        ape.save(path)

    return both


def _with_chunk(*chunks: bytes) -> Tag:
    def tag(path: Path) -> None:
        _id3(4)(path)
        data = path.read_bytes() + b"".join(chunks)
        path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])

    return tag


def _theora(path: Path) -> None:
    """Give an Ogg a cover as a stream of video, as ffmpeg does."""
    need("ffmpeg")
    plain = path.with_suffix(".plain.ogg")
    path.rename(plain)
    picture = ["-f", "lavfi", "-i", "color=red:s=64x64:d=0.1", "-map", "1:v", "-map", "0:a"]
    options = ["-c:v", "libtheora", "-c:a", "copy", "-metadata:s:a", f"GENRE={GENRE}", "-metadata:s:a", f"mood={MOOD}"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", plain, *picture, *options, path], check=True)
    plain.unlink()


LIST = b"LIST\x14\0\0\0INFOIGNR\x08\0\0\0Dub Plt\0"
BEXT = b"bext" + struct.pack("<I", 602) + b"A description".ljust(602, b"\0")
KINDS: dict[str, tuple[str, Tag]] = {
    "mp3": ("mp3", _id3(4)),
    "mp3-v23": ("mp3", _id3(3)),
    "mp3-v22": ("mp3", _id3v22),
    "mp3-v23-upper": ("mp3", _id3(3, "TXXX:MOOD")),
    "mp3-ape": ("mp3", _beside(_id3(4))),
    "wav": ("wav", _id3(4)),
    "wav-list": ("wav", _with_chunk(LIST)),
    "wav-bext": ("wav", _with_chunk(BEXT)),
    "aiff": ("aiff", _id3(4)),
    "dsf": ("dsf", _id3(4)),
    "tta": ("tta", _id3(4)),
    "tta-ape": ("tta", _beside(_id3(4))),
    "flac": ("flac", _keys("Genre", "mood", DESCRIPTION=["  spaces  "])),
    "ogg": ("ogg", _keys("genre", "MOOD")),
    "ogg-theora": ("ogg", _theora),
    "opus": ("opus", _keys("GENRE", "Mood")),
    "m4a": ("m4a", _keys("©gen", "----:com.apple.iTunes:mood", "©nam")),
    "wma": ("wma", _keys("WM/Genre", "WM/Mood", "Title")),
    "wv": ("wv", _keys("GENRE", "MOOD", "Title")),
}


def make(folder: Path, kind: str) -> Path:
    suffix, tag = KINDS[kind]
    path = make_audio(folder / f"song.{suffix}")
    tag(path)
    return path


def texts(path: Path) -> dict[str, list[str]]:
    """Return every text of a file by its key in lower case, as mutagen shows it and without our table."""
    audio: Any = OggVorbis(path) if path.suffix == ".ogg" else mutagen.File(path)
    found: dict[str, list[str]] = {}
    for key, value in audio.tags.items():
        values = value if isinstance(value, list) else getattr(value, "text", None) or [value]
        found.setdefault(key.lower(), []).extend(
            bytes(one).decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in values
        )
    return found


def read_by_exiftool(paths: Sequence[Path]) -> list[str]:
    """Return what exiftool shows of each file; nothing where it is not here or knows no such file."""
    if shutil.which("exiftool") is None or paths[0].suffix in (".dsf", ".tta", ".wv"):
        return []
    done = subprocess.run(["exiftool", "-a", *paths], check=True, capture_output=True)
    shown = done.stdout.decode("utf-8", "replace").split("======== ")[1:]
    assert len(shown) == len(paths)
    return shown


def read_by_others(path: Path) -> dict[str, str]:
    """Return what other programs show of a file, by program; one that is not here or knows no such file is left out."""
    shown = {"ffprobe": "\n".join(probe(path).values())}
    shown["picard"] = "\n".join(text for key in PICARD for text in texts(path).get(key, ()))
    with suppress(mediafile.FileTypeError):
        found = mediafile.MediaFile(path)
        shown["mediafile"] = "\n".join([*(found.genres or []), *(found.languages or [])])
    with suppress(ImportError, OSError):
        import taglib

        with taglib.File(path) as song:
            shown["taglib"] = "\n".join(text for texts in song.tags.values() for text in texts)
    return shown


# Where Picard looks for genre, language and mood (its appendix "Tag Mapping"), in small letters.
PICARD = (
    *("tcon", "tlan", "tmoo", "txxx:mood", "genre", "language", "mood", "©gen", "wm/genre", "wm/language", "wm/mood"),
    *("----:com.apple.itunes:language", "----:com.apple.itunes:mood"),
)
# What a program does not show of a kind of file, whoever wrote it.
BLIND = {
    ("ffprobe", "m4a"): {"bpm"},
    ("ffprobe", "wav-list"): {"mood", "scene", "vocal", "bgm", "intensity", "energy", "bpm"},
    ("ffprobe", "wav-bext"): {"mood", "scene", "vocal", "bgm", "intensity", "energy", "bpm"},
    ("exiftool", "wma"): {"scene", "vocal", "bgm", "intensity", "energy"},
    ("taglib", "wma"): {"scene", "vocal", "bgm", "intensity", "energy"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_policy_in_every_container(kind: str, tmp_path: Path) -> None:
    need("ffmpeg")
    original = make(tmp_path, kind)
    before = original.read_bytes()
    own = texts(original)
    paths = [tmp_path / policy / original.name for policy in POLICIES]
    labelled = []
    for policy, path in zip(POLICIES, paths, strict=True):
        path.parent.mkdir()
        path.write_bytes(before)
        labelled.append(label(path, policy=policy))
    assert len(set(stream_digests(original, *paths))) == 1
    by_exiftool = read_by_exiftool(paths)
    for number, (policy, path, written) in enumerate(zip(POLICIES, paths, labelled, strict=True)):
        found = texts(path)
        told = "\n".join(text for values in found.values() for text in values)
        # What is ours, where it was to be written, and what was there before.
        assert set(WRITTEN) - set(written.fields) == ({"genre", "mood"} if policy == "fill" else set())
        assert all(WRITTEN[name] in told for name in written.fields), found
        assert all(value in told for value in (GENRE, MOOD)) is (policy != "replace"), found
        untouched = {key: values for key, values in own.items() if "genre" not in key.lower() and "mood" not in key}
        untouched = {key: values for key, values in untouched.items() if key not in ("tcon", "©gen", "tmoo")}
        assert untouched.items() <= found.items()
        # Spelled as the user spelled it, and only once.
        moods = [key for key in found if key.endswith("mood")]
        assert len(moods) == 1 and _spellings(path) >= {key for key in _spellings(original) if "mood" in key.lower()}
        others = read_by_others(path) | ({"exiftool": by_exiftool[number]} if by_exiftool else {})
        for program, shown in others.items():
            seen = set(written.fields) - BLIND.get((program, kind), set())
            seen &= {"mediafile": {"genre", "language"}, "picard": {"genre", "language", "mood"}}.get(program, seen)
            joins = path.suffix in (".flac", ".ogg", ".opus") or "-v2" in kind or kind in ("wav-list", "wav-bext")
            if (program, policy) == ("ffprobe", "append") and not joins:
                # It shows but the first of several values that are apart.
                seen -= {"genre", "mood"}
            assert {name for name in seen if WRITTEN[name] not in shown} == set(), (program, policy)
        restore_exactly(Writing(path, "mark"), written)
        assert path.read_bytes() == before
        # Edited since by another program, it loses what was written and nothing else, from every tag.
        written = label(path, policy=policy)
        edit(path, genre="Live")
        edited = make_edited(original, before)
        undo_edited(path, written)
        found, as_edited = all_texts(path), all_texts(edited)
        assert [found.pop(key) for key in GENRE_KEYS if key in found] == [[GENRE, "Live"]]
        assert {key: text for key, text in as_edited.items() if key not in GENRE_KEYS} == found, policy


GENRE_KEYS = ("tcon", "genre", "©gen", "wm/genre")


def edit(path: Path, genre: str = "") -> None:
    """Name an artist, and add a genre, as another program."""
    audio: Any = OggVorbis(path) if path.suffix == ".ogg" else mutagen.File(path)
    if isinstance(audio.tags, id3.ID3):
        audio.tags.add(id3.TPE1(encoding=3, text=["Me"]))
        audio.tags["TCON"].text += [genre] if genre else []
        # Nothing writes v2.2 any more.
        audio.save(v2_version=max(audio.tags.version[1], 3))
        return
    artist, key = {".m4a": ("©ART", "©gen"), ".wma": ("Author", "WM/Genre")}.get(path.suffix, ("Artist", "Genre"))
    audio.tags[artist] = ["Me"]
    audio.tags[key] = [*map(str, audio.tags[key]), *([genre] if genre else [])]
    audio.save()


def make_edited(original: Path, before: bytes) -> Path:
    path = original.with_name(f"edited{original.suffix}")
    path.write_bytes(before)
    edit(path)
    return path


def undo_edited(path: Path, written: Written) -> None:
    """Take labels out of a file that was edited since, as ``stembridge tag --undo`` does."""
    found = take_apart(read_labels(path, written.fields), [written])
    taken = take_back(found, written)
    assert taken.kept == ()
    restore_fields(Writing(path, "mark"), taken.fields, written)


def all_texts(path: Path) -> dict[str, list[str]]:
    """Return the texts of every tag of a file."""
    found = {key: [part for text in values for part in split_genres(key, text)] for key, values in texts(path).items()}
    if path.suffix in (".mp3", ".tta"):
        with suppress(apev2.APENoHeaderError):
            found |= {f"ape {key}": [str(value)] for key, value in apev2.APEv2(path).items()}
    with path.open("rb") as opened:
        return found | {f"info {key}": values for key, values in read_info(opened).items()}


def split_genres(key: str, text: str) -> list[str]:
    return text.replace("/Live", "\0Live").split("\0") if key in GENRE_KEYS else [text]


def _spellings(path: Path) -> set[str]:
    audio: Any = OggVorbis(path) if path.suffix == ".ogg" else mutagen.File(path)
    if isinstance(audio.tags, mutagen.id3.ID3):
        return {f"TXXX:{frame.desc}" for frame in audio.tags.getall("TXXX")}
    return {key for key, _ in audio.tags} if hasattr(audio.tags, "vendor") else set(audio.tags.keys())


def test_several_texts_of_one_name_stay_before_v24(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "song.mp3")
    frames = [b"\0MOOD\0happy", b"\0mood\0sad / blue"]
    body = b"".join(b"TXXX" + len(frame).to_bytes(4, "big") + b"\0\0" + frame for frame in frames)
    path.write_bytes(b"ID3\3\0\0\0\0\0" + bytes((len(body),)) + body + path.read_bytes())
    label(path, policy="append", dimensions=("mood",))
    data = path.read_bytes()
    assert body in data and b"\0MOOD\0Calm" in data


@pytest.mark.parametrize(
    ("separator", "genre", "expected"),
    [
        ("", "Jazz", "Jazz/Rock"),
        ("", "Jazz; Soul", "Jazz; Soul; Rock"),
        (" | ", "Jazz", "Jazz | Rock"),
        ("", "(8)", "(8)Rock"),
    ],
)
def test_values_are_joined_as_the_text_or_the_setting_says_before_v24(
    separator: str, genre: str, expected: str, tmp_path: Path
) -> None:
    path = make_audio(tmp_path / "song.mp3")
    body = b"TCON" + (len(genre) + 1).to_bytes(4, "big") + b"\0\0\0" + genre.encode()
    path.write_bytes(b"ID3\3\0\0\0\0\0" + bytes((len(body),)) + body + path.read_bytes())
    label(path, policy="append", dimensions=("genre",), options=ReplaceOptions(separator=separator))
    assert id3.ID3(path, translate=False)["TCON"].text == [expected]


@pytest.mark.parametrize(("genre", "number"), [("17", 255), ("Rock", 17)])
def test_a_genre_that_is_called_by_a_number_is_none_of_id3v1(tmp_path: Path, genre: str, number: int) -> None:
    path = make(tmp_path, "mp3-ape")
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(124) + b"\x08")
    lay_over(rewrite(path, lambda _: {"genre": (genre,)}).pieces, path)
    assert path.read_bytes()[-1] == number


@pytest.mark.parametrize(("frames", "expected"), [("TMOO", {"TMOO"}), ("TXXX", {"TXXX:MOOD"})])
def test_the_mood_stands_where_the_setting_says(frames: MoodFrames, expected: set[str], tmp_path: Path) -> None:
    path = make_audio(tmp_path / "song.mp3")
    label(path, dimensions=("mood",), options=ReplaceOptions(mood_frames=frames))
    assert set(id3.ID3(path)) & {"TMOO", "TXXX:MOOD"} == expected


def test_replace_replaces_in_every_tag_that_holds_the_field(tmp_path: Path) -> None:
    path = make(tmp_path, "mp3-ape")
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(124) + b"\x08")
    before = path.read_bytes()
    written = label(path, policy="replace", dimensions=("genre", "mood"))
    assert apev2.APEv2(path)["Genre"] == "Rock" and "Mood" not in apev2.APEv2(path)
    assert path.read_bytes()[-1] == id3.TCON.GENRES.index("Rock")
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before
    path = make(tmp_path, "wav-list")
    label(path, policy="replace", dimensions=("genre",))
    assert b"IGNR\x05\0\0\0Rock\0" in path.read_bytes() and b"Dub" not in path.read_bytes()


def test_what_is_appended_beside_goes_again_and_the_user_s_own_stays(tmp_path: Path) -> None:
    path = make(tmp_path, "wav-list")
    written = label(path, policy="append", dimensions=("genre", "language"))
    assert b"Dub Plt; Rock\0" in path.read_bytes()
    restore_fields(Writing(path, "mark"), written.previous, written)
    assert b"IGNR\x08\0\0\0Dub Plt\0" in path.read_bytes() and b"ILNG" not in path.read_bytes()


def test_labels_of_an_ogg_with_a_cover_belong_to_what_is_heard(tmp_path: Path) -> None:
    path = make(tmp_path, "ogg-theora")
    label(path, policy="replace")
    assert OggVorbis(path)["genre"] == ["Rock"]
    assert b"SCENE" not in path.read_bytes().partition(b"\x81theora")[2][:200]


def test_a_field_of_the_user_s_choice_takes_nothing_from_its_neighbours(tmp_path: Path) -> None:
    path = make(tmp_path, "flac")
    label(path, policy="append", dimensions=("scene",), fields={"scene": "comment"})
    tags: Any = FLAC(path).tags
    assert (tags["comment"], tags["description"]) == (["  spaces  ".strip(), "Cafe"], ["  spaces  "])
    assert "scene" not in tags


@pytest.mark.parametrize("version", [3, 4])
def test_picard_reads_the_mood(version: int, tmp_path: Path) -> None:
    path = make_audio(tmp_path / "song.mp3")
    tags = id3.ID3()
    tags.add(id3.TIT2(encoding=3, text=["Song"]))
    tags.save(path, v2_version=version)
    label(path, dimensions=("mood",))
    found = id3.ID3(path)
    # It takes this very name for TMOO, and only where there is none.
    assert (found.get("TMOO") or found["TXXX:mood"]).text == ["Calm"]
