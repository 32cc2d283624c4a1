"""``beet moods``: labels through MediaX into beets' fields, and by them into files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confuse
import mutagen
import pytest
from stembridge_beets.configuration import rename_fields
from stembridge_beets.fields import FIELD_OF
from stembridge_beets.host import UserError

from tests.hosts.beets.files import SUFFIXES, make_songs, read_labels, read_rest
from tests.hosts.beets.library import Beets
from tests.hosts.beets.services import account_at
from tests.plugin_core.tags.tagged_files import stream_digests
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, MediaxSimulator

LABELS = {
    "mood": ["Calm"],
    "genre": ["Rock"],
    "language": ["cmn"],
    "scene": ["开车"],
    "vocal": ["Vocal"],
    "bgm": ["非BGM"],
    "intensity": ["Intense"],
}
FIELD = {"genre": "genres"}


@pytest.fixture
def service() -> Iterator[MediaxSimulator]:
    with MediaxSimulator(walk=(3,), fetches=False) as simulator:
        yield simulator


@pytest.fixture
def listener(beets: Beets, service: MediaxSimulator) -> Beets:
    """Return a beets with an account at the service."""
    beets.environ |= account_at(service)
    return beets


def import_songs(beets: Beets, *suffixes: str) -> None:
    make_songs(beets.inbox, suffixes or SUFFIXES)
    beets.do("import", "-q", "-A", "-s", str(beets.inbox))


def in_library(beets: Beets, title: str) -> dict[str, list[str]]:
    """Return the labels that beets knows of a song."""
    return library(beets)[title]


def library(beets: Beets) -> dict[str, dict[str, list[str]]]:
    """Return the labels that beets knows, by title."""
    return {title: known for title, (_path, known) in look(beets).items()}


def look(beets: Beets) -> dict[str, tuple[Path, dict[str, list[str]]]]:
    """Return the file and the labels that beets knows, by title."""
    fields = ["title", "path", *(FIELD.get(name, name) for name in LABELS)]
    found = {}
    for line in beets.values("\t$".join(fields)):
        title, path, *told = line.split("\t")
        # Beets writes the name of a field that a song does not have.
        known = {name: text for name, text in zip(LABELS, told, strict=True) if text and not text.startswith("$")}
        found[title] = Path(path), {name: text.split("; ") for name, text in known.items()}
    return found


def is_id3v23(path: Path) -> bool:
    audio = mutagen.File(path)
    return getattr(getattr(audio, "tags", None), "version", (2, 4, 0))[:2] == (2, 3)


def paths(beets: Beets) -> dict[str, Path]:
    told = beets.do("ls", "-f", "$title\t$path").out.splitlines()
    return {title: Path(path) for title, _, path in (line.partition("\t") for line in told) if title in SUFFIXES}


@pytest.mark.parametrize("id3v23", [False, True], ids=["v2.4", "v2.3"])
def test_the_whole_chain(listener: Beets, service: MediaxSimulator, id3v23: bool) -> None:
    """Values in database and file agree after each step, and nothing else changes."""
    suffixes = SUFFIXES if not id3v23 else ("mp3", "aiff")
    listener.configure(id3v23=id3v23)
    import_songs(listener, *suffixes)
    # What beets itself writes when it first writes a file shall be there before.
    listener.do("write", "-f")
    songs = paths(listener)
    sounds = dict(zip(songs, stream_digests(*songs.values()), strict=True))
    rest = {title: read_rest(path) for title, path in paths(listener).items()}

    def agree(labels: dict[str, list[str]], *, changed: tuple[str, ...] = ()) -> None:
        found = {title: each for title, each in look(listener).items() if title in SUFFIXES}
        assert set(found) == set(suffixes)
        heard = stream_digests(*(path for path, _ in found.values()))
        assert dict(zip(found, heard, strict=True)) == sounds
        for title, (path, known) in found.items():
            joined = {name: ["/".join(values)] for name, values in labels.items()}
            assert read_labels(path) == (joined if is_id3v23(path) else labels), title
            assert known == labels, title
            others = {key: value for key, value in read_rest(path).items() if key not in changed}
            assert others == {key: value for key, value in rest[title].items() if key not in changed}, title

    listener.do("moods", "-y")
    assert service.created == len(suffixes)
    agree(LABELS)
    listener.do("write")
    listener.do("write", "-f")
    agree(LABELS)
    listener.do("update")
    agree(LABELS)
    # Beets itself reads back genres that ID3v2.3 joined as one.
    genres = ["Folk"] if id3v23 else ["Rock", "Folk"]
    more = {**LABELS, "mood": ["Dark", "Slow"], "genre": genres}
    listener.do("modify", "-y", "mood=Dark; Slow", f"genres={'; '.join(genres)}")
    listener.do("write", "-f")
    agree(more)
    for path in paths(listener).values():
        path.touch()
    listener.do("update")
    agree(more)
    listener.do("modify", "-y", "albumartist=Other", "artist=Other")
    rest = {title: read_rest(path) for title, path in paths(listener).items()}
    listener.do("move")
    assert all(path.parent.name == "Other" for path in paths(listener).values())
    agree(more)
    listener.do("scrub")
    agree(
        more, changed=tuple({key for each in rest.values() for key in each if "encod" in key.lower() or key == "TSSE"})
    )
    listener.do("convert", "-y", "-f", "ogg", "title:=mp3")
    (converted,) = (listener.root / "converted").rglob("*.ogg")
    assert read_labels(converted) == more
    assert service.created == len(suffixes)


def test_changes_are_shown_and_labelled_songs_passed_over(listener: Beets, service: MediaxSimulator) -> None:
    import_songs(listener, "flac", "mp3")
    outcome = listener.do("moods", "-y")
    assert outcome.out.startswith("note: MediaX advises mp3 and wav; .flac may fail (1 track)\nlabel 2 tracks")
    assert outcome.out.count("MediaX advises") == 1
    assert "mood:" in outcome.out
    assert outcome.out.count("Calm; Rock; cmn") == 2
    assert listener.do("moods", "-y").out.count("is labelled") == 2
    assert listener.do("moods", "-y", "-q").out == ""
    assert service.created == 2


def test_labels_in_fields_of_other_names(listener: Beets) -> None:
    """As where somebody keeps an own ``mood`` of another type: it stays theirs, and ours goes where it is told to."""
    theirs: dict[str, Any] = {"plugins": ["stembridge", "types", "scrub"], "types": {"mood": "int"}}
    listener.configure(**theirs)
    import_songs(listener, "flac")
    listener.do("modify", "-y", "mood=7", "genres=Folk")
    refused = listener.run("moods", "-y")
    assert refused.code == 1
    assert refused.err.startswith("error: field mood holds no words") and "stembridge.fields.mood" in refused.err
    listener.configure({"fields": {"mood": "feel", "genre": "style"}}, **theirs)
    told = listener.do("moods", "-y")
    assert "feel:" in told.out
    assert listener.values("mood $feel $style $genres $scene", "feel:=Calm") == ["7 Calm Rock Folk 开车"]
    listener.do("scrub")
    assert read_labels(paths(listener)["flac"]) == {**LABELS, "genre": ["Folk"]}
    listener.do("moods", "--undo")
    assert listener.values("mood [$style] $genres", "^feel::.") == ["7 [] Folk"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"moods": "feel"}, "stembridge.fields has 'moods'; there are mood, genre"),
        ({"mood": "bpm"}, "stembridge.fields.mood is 'bpm', which is no field for words"),
        ({"mood": "a b"}, "stembridge.fields.mood is 'a b', which is no field for words"),
        ({"mood": "scene"}, "stembridge.fields gives two labels one field"),
    ],
)
def test_wrong_names_of_fields(tmp_path: Path, fields: dict[str, str], told: str) -> None:
    config = confuse.Configuration("stembridge-test", read=False)
    config.set({"stembridge": {"fields": fields}})
    before = dict(FIELD_OF)
    with pytest.raises(UserError, match=re.escape(told)):
        rename_fields(config["stembridge"])
    assert before == FIELD_OF


def test_queries_find_labels(listener: Beets) -> None:
    import_songs(listener, "flac", "mp3")
    listener.do("moods", "-y", "title:flac")
    for query in ("mood:calm", "mood::^C", "mood_probability:0.8..", "labels_provider:mediax"):
        assert listener.values("title", query) == ["flac"], query
    assert listener.values("mood_probability", "title:flac") == ["0.871"]
    assert listener.values("title", "mood:wild") == []


def test_nothing_is_written_when_that_is_not_wanted(listener: Beets) -> None:
    import_songs(listener, "flac")
    before = paths(listener)["flac"].read_bytes()
    listener.do("moods", "-y", "-W")
    assert paths(listener)["flac"].read_bytes() == before
    assert in_library(listener, "flac") == LABELS
    listener.do("write", "-f")
    assert read_labels(paths(listener)["flac"]) == LABELS


def test_nothing_is_written_or_said_after_an_import_either(listener: Beets) -> None:
    listener.configure({"auto": "moods", "write": False, "quiet": True})
    make_songs(listener.inbox, ("flac",))
    outcome = listener.do("import", "-q", "-A", "-s", str(listener.inbox))
    assert "Calm" not in outcome.out
    assert in_library(listener, "flac") == LABELS
    assert read_labels(paths(listener)["flac"]) == {}


def test_dimensions_and_pretending(listener: Beets, service: MediaxSimulator) -> None:
    import_songs(listener, "flac")
    library = (listener.root / "library.db").read_bytes()
    assert "label mood" in listener.do("moods", "-p", "--dimensions", "mood").out
    assert service.created == 0
    assert (listener.root / "library.db").read_bytes() == library
    listener.do("moods", "-y", "--dimensions", "mood")
    assert in_library(listener, "flac") == {"mood": ["Calm"]}
    listener.do("moods", "-y", "--dimensions", "mood,genre")
    assert in_library(listener, "flac") == {"mood": ["Calm"], "genre": ["Rock"]}
    # What was bought says more than is wanted now, and was wanted by other rules.
    listener.do("moods", "--undo")
    listener.do("moods", "-y", "--dimensions", "genre")
    assert in_library(listener, "flac") == {"genre": ["Rock"]}
    listener.do("moods", "--undo")
    listener.configure({"labels": "zh"})
    listener.do("moods", "-y", "--dimensions", "genre")
    assert in_library(listener, "flac") == {"genre": ["摇滚"]}
    assert service.created == 2


def test_undo(listener: Beets) -> None:
    import_songs(listener)
    listener.do("modify", "-y", "genres=Folk")
    listener.do("write", "-f")
    before = {title: (read_labels(path), read_rest(path)) for title, path in paths(listener).items()}
    listener.configure({"policies": {"genre": "append"}})
    listener.do("moods", "-y")
    assert read_labels(paths(listener)["mp3"])["genre"] == ["Folk", "Rock"]
    outcome = listener.do("moods", "--undo")
    assert "mood" in outcome.out
    assert {title: (read_labels(path), read_rest(path)) for title, path in paths(listener).items()} == before
    assert listener.values("title", "labels_provider::.") == []
    assert listener.values("title", "mood::.") == []
    listener.do("update")
    assert in_library(listener, "flac") == {"genre": ["Folk"]}
    assert listener.do("moods", "--undo").out.count("nothing to undo") == len(SUFFIXES)


def test_labels_that_files_bring_along_are_kept(listener: Beets) -> None:
    """Also where beets does not read them into its library."""
    make_songs(listener.inbox, ("flac",))
    audio = mutagen.File(listener.inbox / "flac.flac")
    assert audio is not None
    audio["mood"] = ["Mine"]
    audio.save()
    listener.do("import", "-q", "-A", "-s", str(listener.inbox))
    listener.do("moods", "-y")
    assert read_labels(paths(listener)["flac"])["mood"] == ["Mine"]
    assert read_labels(paths(listener)["flac"])["genre"] == ["Rock"]


def test_a_file_that_cannot_be_written(listener: Beets, service: MediaxSimulator) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not here")
    import_songs(listener, "flac", "mp3")
    path = paths(listener)["mp3"]
    path.chmod(0o444)
    outcome = listener.run(
        "moods", "-y", prefix=("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")
    )
    assert outcome.code == 1, outcome
    assert "Traceback" not in outcome.err
    assert "the labels stand in the library, not in the file" in outcome.err
    assert read_labels(path) == {}
    assert read_labels(paths(listener)["flac"]) == LABELS
    path.chmod(0o644)
    listener.do("stembridge", "resume")
    assert read_labels(path) == LABELS
    assert service.created == 2


@pytest.mark.parametrize("auto", ["moods", "yes"])
def test_an_import_labels_and_separates(listener: Beets, auto: str) -> None:
    listener.configure({"auto": auto})
    import_songs(listener, "flac", "wav")
    for title, path in paths(listener).items():
        assert read_labels(path) == in_library(listener, title) == LABELS
    assert len(list(listener.music.rglob("*.stems"))) == (2 if auto == "yes" else 0)
    assert listener.do("stembridge", "status").out == "nothing is left to be done\n"


def test_a_wrong_key_is_one_line(listener: Beets) -> None:
    import_songs(listener, "flac")
    outcome = listener.run("moods", "-y", environ={"STEMBRIDGE_MEDIAX_SECRET_KEY": "wrong"})
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert "secretId or secretKey" in outcome.err
    assert len(outcome.err.splitlines()) == 2


def test_keys_are_kept_and_asked_for_by_beet_itself(listener: Beets) -> None:
    for name in ("STEMBRIDGE_MEDIAX_SECRET_ID", "STEMBRIDGE_MEDIAX_SECRET_KEY"):
        del listener.environ[name]
    del listener.environ["STEMBRIDGE_HOME"]
    listener.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    listener.configure({"home": str(listener.home)})
    import_songs(listener, "flac")
    assert "`beet stembridge login mediax`" in listener.run("moods", "-y").err
    kept = listener.run("stembridge", "login", "mediax", answer=f"{SECRET_ID}\n{SECRET_KEY}\n")
    assert "next: beet stembridge " in kept.out
    assert (kept.code, SECRET_KEY in (listener.home / "config.toml").read_text()) == (0, True), kept
    listener.do("moods", "-y")
    assert in_library(listener, "flac") == LABELS
    assert listener.run("stembridge", "jobs", "list", "--", "--json").out.count('"job"') == 1
    assert listener.run("stembridge", "login", "nobody").code == 2
    # Keys of beets' own configuration win over those that are kept.
    listener.configure({"mediax": {"secret_key": "wrong"}})
    refused = listener.run("stembridge", "login", "mediax", answer=f"{SECRET_ID}\n{SECRET_KEY}\n")
    assert refused.code == 1 and "the keys of mediax stand in beets' own configuration" in refused.err


def test_an_import_with_a_refused_key_keeps_its_notes_and_resumes(listener: Beets, service: MediaxSimulator) -> None:
    listener.configure({"auto": "moods"})
    listener.environ["STEMBRIDGE_MEDIAX_SECRET_KEY"] = "wrong"
    make_songs(listener.inbox, ("flac", "mp3"))
    outcome = listener.do("import", "-q", "-A", "-s", str(listener.inbox))
    assert outcome.err.count("secretId or secretKey") == 2
    assert "moods: 2 unfinished, go on with: beet stembridge resume" in outcome.err
    assert listener.do("stembridge").out.count("moods: ") == 2
    again = listener.run("stembridge", "resume")
    assert again.code == 1
    assert "2 tracks unfinished" in again.err
    assert listener.do("stembridge").out.count("moods: ") == 2
    # What was refused knew the song where it was.
    listener.do("modify", "-y", "-W", "title:mp3", "artist=Other")
    listener.environ |= account_at(service)
    listener.do("stembridge", "resume")
    assert service.created == 2
    for title, path in paths(listener).items():
        assert read_labels(path) == in_library(listener, title) == LABELS
    assert listener.do("stembridge").out == "nothing is left to be done\n"


def test_an_import_with_a_wrong_list_of_genres_keeps_its_notes(listener: Beets, service: MediaxSimulator) -> None:
    listener.configure({"auto": "moods", "whitelist": str(listener.root / "genres.txt")})
    make_songs(listener.inbox, ("flac",))
    outcome = listener.do("import", "-q", "-A", "-s", str(listener.inbox))
    assert "genres.txt cannot be read" in outcome.err
    assert "moods: 1 unfinished, go on with: beet stembridge resume" in outcome.err
    assert service.created == 0
    (listener.root / "genres.txt").write_text("Rock\n")
    listener.do("stembridge", "resume")
    assert in_library(listener, "flac") == LABELS


def test_songs_that_an_import_left_keep_their_notes_when_labelling_them_is_refused_too(
    listener: Beets, service: MediaxSimulator
) -> None:
    listener.configure({"auto": "moods"})
    listener.environ["STEMBRIDGE_MEDIAX_SECRET_KEY"] = "wrong"
    import_songs(listener, "flac")
    assert listener.run("moods", "-y").code == 1
    listener.environ |= account_at(service)
    listener.do("stembridge", "resume")
    assert service.created == 1
    assert in_library(listener, "flac") == LABELS


def test_accounts_in_beets_configuration(listener: Beets) -> None:
    for name in ("STEMBRIDGE_MEDIAX_SECRET_ID", "STEMBRIDGE_MEDIAX_SECRET_KEY"):
        del listener.environ[name]
    listener.configure({"mediax": {"secret_id": SECRET_ID, "secret_key": SECRET_KEY}})
    import_songs(listener, "flac")
    listener.do("moods", "-y")
    assert in_library(listener, "flac") == LABELS
    told = listener.do("config").out
    assert "REDACTED" in told
    assert SECRET_KEY not in told
    assert SECRET_KEY not in (listener.home / "jobs.sqlite3").read_bytes().decode("latin-1")


def test_every_query_of_the_documentation_finds_what_it_says(listener: Beets) -> None:
    import_songs(listener, "flac", "mp3")
    assert sorted(listener.values("title", "genres::^$")) == ["flac", "mp3"]
    assert sorted(listener.values("title", "^stems_path::.")) == ["flac", "mp3"]
    listener.do("moods", "-y", "title:flac")
    assert listener.values("title", "genres::^$") == ["mp3"]
    assert listener.values("title", "mood:calm", "mood_probability:0.7..") == ["flac"]


@pytest.mark.parametrize("write", [True, False], ids=["written", "unwritten"])
def test_undo_without_writing_lets_beets_write_it_later(listener: Beets, write: bool) -> None:
    import_songs(listener, "flac")
    # What beets itself writes when it first writes a file shall be there before.
    listener.do("write", "-f")
    before = read_labels(paths(listener)["flac"])
    listener.do("moods", "-y")
    outcome = listener.do("moods", "--undo", "-q", "-w" if write else "-W")
    assert outcome.out == ""
    path = paths(listener)["flac"]
    assert ("mood" in read_labels(path)) != write
    listener.do("write", "-f")
    assert read_labels(path) == before
    assert listener.do("moods", "--undo").out.count("nothing to undo") == 1
