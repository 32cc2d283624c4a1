"""What people do in beets to songs, stems and labels that were bought: none of it pays again.

Real ``beet`` processes against the strict simulators, whose paid creates are counted.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

import mutagen.flac
import mutagen.id3
import mutagen.wave
import pytest
import soundfile

from tests.audio_files import write_song
from tests.end_to_end.sharing import SHARED, kept_of, share_jobs, working
from tests.hosts.beets.conftest import make_later, tag
from tests.hosts.beets.library import Beets
from tests.hosts.beets.services import account_at
from tests.postgresql import postgresql
from tests.simulators.faults import refuse
from tests.simulators.mediax import MediaxSimulator
from tests.simulators.mvsep import FREE_TOKEN, Behaviour
from tests.simulators.mvsep.walks import processing, waiting
from tests.simulators.mvsep.watched import Watched

__all__ = ["postgresql"]

SECONDS = 4.0
LIMIT = 300
FILES = "/storage/processed/*"
STEMS = ["Instrumental", "Vocals"]


@pytest.fixture
def service() -> Iterator[Watched]:
    with Watched() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_song(tmp_path_factory.mktemp("recording") / "Song.flac", SECONDS, subtype="PCM_16")


def account(service: Watched) -> dict[str, str]:
    """Return the environment of someone with a free account, who asks often."""
    return {
        "STEMBRIDGE_MVSEP_API_TOKEN": FREE_TOKEN,
        "STEMBRIDGE_MVSEP_BASE_URL": service.api,
        "STEMBRIDGE_MVSEP_POLL_FIRST": "0.05",
        "STEMBRIDGE_MVSEP_POLL_LONGEST": "0.1",
        "STEMBRIDGE_MVSEP_REGISTER_SECONDS": "0.5",
    }


@pytest.fixture
def is_shared() -> bool:
    return SHARED


@pytest.fixture
def helped(beets: Beets, is_shared: bool, request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[None]]:
    """Give what lets a worker do what beets asks for, with the variables of then, where jobs lie in a database."""

    def help_it() -> AbstractContextManager[None]:
        if not is_shared:
            return nullcontext()
        share_jobs(beets.home, request.getfixturevalue("postgresql"), beets.root)
        return working(beets.environ, beets.home)

    return help_it


@pytest.fixture
def buyer(
    beets: Beets, service: Watched, recording: Path, helped: Callable[[], AbstractContextManager[None]]
) -> Iterator[Beets]:
    """Give a beets with one song and an account at MVSEP."""
    beets.environ |= account(service)
    beets.configure(SECTION)
    bring(beets, recording, "One")
    with helped():
        yield beets


SECTION = {"provider": "mvsep", "model": "40", "tries": 20}


def bring(beets: Beets, recording: Path, title: str) -> None:
    """Import a song under a title."""
    song = Path(shutil.copy(recording, beets.inbox / f"raw{recording.suffix}"))
    if song.suffix == ".flac":
        tag(song, title=title, artist="Artist", album="Album")
    else:
        audio: Any = mutagen.wave.WAVE(song)
        audio.add_tags()
        audio.tags.add(mutagen.id3.TIT2(encoding=3, text=[title]))
        audio.tags.add(mutagen.id3.TPE1(encoding=3, text=["Artist"]))
        audio.save()
    beets.do("import", "-q", "-A", "-s", str(song))
    song.unlink()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def expect_stems(beets: Beets, folder: Path, name: str) -> None:
    """See the stems of the only song beside it, on the disk and in the library, and nothing left to be done."""
    assert names(folder / f"{name}.stems") == [f"{name} - {stem}.flac" for stem in STEMS]
    assert [path.name for path in beets.music.rglob("*.stems")] == [f"{name}.stems"]
    noted = read_fields(beets)
    # Newer versions of beets note paths below the library relative to it.
    assert beets.music / os.fsdecode(noted["stems_path"]) == folder / f"{name}.stems"
    assert sorted(noted["stems_files"].split("\\␀")) == [f"{name} - {stem}.flac" for stem in STEMS]
    assert not noted.get("stems_todo")


def read_fields(beets: Beets) -> dict[str, Any]:
    """Return the flexible fields of the only song, read without a ``beet`` of its own."""
    with closing(sqlite3.connect(beets.root / "library.db")) as library:
        return dict(library.execute("SELECT key, value FROM item_attributes").fetchall())


def modify(beets: Beets) -> None:
    beets.do("modify", "-y", "title:One", "title=Eins")


def move(beets: Beets) -> None:
    beets.configure(SECTION, paths={"default": "$artist/Eins", "singleton": "$artist/Eins"})
    beets.do("move")


def update(beets: Beets) -> None:
    """Take over a title that another program wrote."""
    song = beets.music / "Artist" / "One.flac"
    tag(song, title="Eins")
    make_later(song)
    beets.do("update")


def write(beets: Beets) -> None:
    """Write tags into the file; nothing moves."""
    beets.do("modify", "-y", "-M", "-W", "title:One", "title=Eins")
    beets.do("write")


def move_far(beets: Beets) -> None:
    """Move without this plugin, far from where the song was."""
    beets.configure(SECTION, plugins=[], paths={"default": "Far/$artist/away/Eins", "singleton": "Far/$artist/Eins"})
    beets.do("move")
    beets.configure(SECTION)


ACTS = [(move, "Artist", "Eins"), (modify, "Artist", "Eins"), (update, "Artist", "Eins"), (write, "Artist", "One")]
"""What is done, and the folder and name the song has then."""
PLUGIN_OFF = (move_far, "Far/Artist", "Eins")


def begin(beets: Beets, service: Watched) -> subprocess.Popen[bytes]:
    """Begin to separate, and wait until the service has the job."""
    service.behave(Behaviour(walk=(waiting(1), processing(seconds=10_000))))
    process = beets.start("stems", "-y")
    service.wait_asked()
    return process


@pytest.mark.parametrize(("act", "folder", "name"), [*ACTS, PLUGIN_OFF])
def test_a_song_moved_during_stems_is_followed(
    buyer: Beets, service: Watched, act: Callable[[Beets], None], folder: str, name: str
) -> None:
    """``beet move``, ``modify``, ``update``, ``write`` in another process; the first result is not thrown away."""
    process = begin(buyer, service)
    act(buyer)
    service.clock.advance(20_000)
    out, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, out.decode()
    assert service.created == 1
    expect_stems(buyer, buyer.music / folder, name)


@pytest.mark.parametrize("is_shared", [True])
def test_a_song_moved_while_a_worker_has_its_job_is_followed(buyer: Beets, service: Watched) -> None:
    test_a_song_moved_during_stems_is_followed(buyer, service, *ACTS[0])


@pytest.mark.parametrize(
    ("act", "folder", "name", "word"),
    [(*ACTS[0], "resume"), (*ACTS[1], "stems"), (*PLUGIN_OFF, "resume"), (*PLUGIN_OFF, "stems")],
)
def test_a_song_moved_after_a_kill_is_followed(
    buyer: Beets, service: Watched, act: Callable[[Beets], None], folder: str, name: str, word: str
) -> None:
    process = begin(buyer, service)
    process.kill()
    process.communicate()
    act(buyer)
    service.clock.advance(20_000)
    buyer.do(*(("stembridge", "resume") if word == "resume" else ("stems", "-y")))
    assert service.created == 1
    expect_stems(buyer, buyer.music / folder, name)


def test_a_song_moved_twice_after_a_kill_is_followed(buyer: Beets, service: Watched) -> None:
    process = begin(buyer, service)
    process.kill()
    process.communicate()
    modify(buyer)
    buyer.do("modify", "-y", "title:Eins", "title=Uno", "artist=Other")
    service.clock.advance(20_000)
    buyer.do("stembridge", "resume")
    assert service.created == 1
    expect_stems(buyer, buyer.music / "Other", "Uno")


def test_a_forced_job_follows_its_song_as_well(buyer: Beets, service: Watched) -> None:
    buyer.do("stems", "-y")
    service.behave(Behaviour(walk=(waiting(1), processing(seconds=10_000))))
    asked = len(service.requests("GET", "*/separation/get"))
    process = buyer.start("stems", "-y", "-f")
    service.wait_asked(count=asked + 1)
    process.kill()
    process.communicate()
    move_far(buyer)
    service.clock.advance(20_000)
    buyer.do("stembridge", "resume")
    assert service.created == 2


def forget(beets: Beets, service: Watched) -> None:
    """Let nothing be had of what was bought but the stems themselves."""
    shutil.rmtree(kept_of(beets.home) / "purchases")
    service.expire()


def as_it_is(song: Path) -> Path:
    return song


def retag(song: Path) -> Path:
    tags = mutagen.flac.FLAC(song)
    tags["comment"] = "x" * 9000
    tags.save()
    return song


def convert(song: Path) -> Path:
    """Convert to another container, with the same samples."""
    samples, rate = soundfile.read(song, dtype="int16")
    soundfile.write(song.with_suffix(".wav"), samples, rate, subtype="PCM_16")
    return song.with_suffix(".wav")


@pytest.mark.parametrize(("moved", "other"), [(move, as_it_is), (modify, retag), (modify, convert)])
def test_stems_moved_by_the_plugin_serve_the_same_recording_elsewhere(
    buyer: Beets,
    service: Watched,
    recording: Path,
    tmp_path: Path,
    moved: Callable[[Beets], None],
    other: Callable[[Path], Path],
) -> None:
    buyer.do("stems", "-y")
    moved(buyer)
    buyer.configure(SECTION)
    forget(buyer, service)
    bring(buyer, other(Path(shutil.copy(recording, tmp_path / "copy.flac"))), "Two")
    outcome = buyer.do("stems", "-y", "title:Two")
    assert service.created == 1, outcome
    assert "bought already" in outcome.out or "about" not in outcome.out
    assert len(names(buyer.music / "Artist" / "Two.stems")) == len(STEMS)
    assert len(names(buyer.music / "Artist" / "Eins.stems")) == len(STEMS)


def embed_cover(beets: Beets) -> None:
    song = next(beets.music.rglob("*.flac"))
    tags = mutagen.flac.FLAC(song)
    picture = mutagen.flac.Picture()
    picture.data, picture.mime, picture.type = b"\xff\xd8" + b"c" * 100_000, "image/jpeg", 3
    tags.add_picture(picture)
    tags.save()
    beets.do("update")


def edit_title(beets: Beets) -> None:
    beets.do("modify", "-y", "-w", "title=Eins")


@pytest.mark.parametrize("act", [edit_title, embed_cover])
def test_a_title_edited_or_a_cover_embedded_buys_no_stems_again(
    buyer: Beets, service: Watched, act: Callable[[Beets], None]
) -> None:
    buyer.do("stems", "-y")
    act(buyer)
    for folder in list(buyer.music.rglob("*.stems")):
        shutil.rmtree(folder)
    buyer.do("stems", "-y")
    assert service.created == 1
    assert len(list(buyer.music.rglob("*.stems/*.flac"))) == len(STEMS)
    assert buyer.do("stems", "--check").code == 0


def test_moods_again_after_a_tag_edit(
    beets: Beets, recording: Path, helped: Callable[[], AbstractContextManager[None]]
) -> None:
    with MediaxSimulator(walk=(3,), fetches=False) as labels:
        beets.environ |= account_at(labels)
        bring(beets, recording, "One")
        with helped():
            beets.do("moods", "-y")
            edit_title(beets)
            embed_cover(beets)
            beets.do("modify", "-y", "mood=", "labels_dimensions=")
            beets.do("moods", "-y")
        assert labels.created == 1
    assert beets.values("title", "mood:calm") == beets.values("title")


def import_in_place(beets: Beets, recording: Path, service: Watched, change: Callable[[Path], Path]) -> Path:
    """Make stems on another machine, take song and stems to this one, and import them where they lie."""
    there = Beets(beets.root / "other", account(service))
    there.configure(SECTION)
    bring(there, recording, "One")
    there.do("stems", "-y")
    shutil.copytree(there.music / "Artist", beets.music / "Artist")
    song = change(beets.music / "Artist" / "One.flac")
    if song.suffix != ".flac":
        (beets.music / "Artist" / "One.flac").unlink()
    beets.environ |= account(service)
    beets.configure(SECTION, **{"import": {"copy": False, "autotag": False}})
    beets.do("import", "-q", "-A", "-s", str(beets.music))
    return song.with_suffix(".stems")


@pytest.mark.parametrize("change", [retag, convert])
def test_a_library_imported_in_place_keeps_its_stems_on_a_fresh_home(
    beets: Beets, service: Watched, recording: Path, change: Callable[[Path], Path]
) -> None:
    """Stems of ours beside a song are recognised by their tags; there was no job store."""
    stems = import_in_place(beets, recording, service, change)
    kept = {path.name: path.read_bytes() for path in stems.iterdir()}
    assert not (beets.home / "jobs.sqlite3").exists()
    told = beets.do("stems", "-p").out
    assert "made before" in told and "credits" not in told
    assert not (beets.home / "jobs.sqlite3").exists()
    beets.do("stems", "-y")
    assert service.created == 1
    assert {path.name: path.read_bytes() for path in stems.iterdir()} == kept
    assert beets.values("stems") == ["instrumental; vocals"]
    assert [path.name for path in stems.parent.glob("*.stems")] == ["One.stems"]
    assert beets.do("stems", "--check").code == 0


def test_recognised_stems_serve_the_same_recording_elsewhere(beets: Beets, service: Watched, recording: Path) -> None:
    import_in_place(beets, recording, service, as_it_is)
    beets.do("stems", "-y")
    beets.configure(SECTION)
    bring(beets, recording, "Two")
    beets.do("stems", "-y")
    assert service.created == 1
    assert len(names(beets.music / "Artist" / "Two.stems")) == len(STEMS)


def test_other_stems_than_those_that_stand_are_asked_for_as_usual(
    beets: Beets, service: Watched, recording: Path
) -> None:
    import_in_place(beets, recording, service, as_it_is)
    asked = beets.run("stems", "--model", "48")
    assert (asked.code, "add -y" in asked.err) == (1, True)
    beets.do("stems", "-y", "--model", "48")
    assert service.created == 2


def cut(song: Path) -> Path:
    """Replace a song by a shorter edit of it."""
    samples, rate = soundfile.read(song, dtype="int16")
    soundfile.write(song, samples[:-rate], rate, subtype="PCM_16")
    return song


def test_stems_of_another_recording_are_not_taken(beets: Beets, service: Watched, recording: Path) -> None:
    stems = import_in_place(beets, recording, service, cut)
    beets.do("stems", "-y")
    assert service.created == 2
    assert beets.values("stems_path") == [str(stems.with_name("One (2).stems"))]


def test_what_is_paid_for_and_could_not_be_fetched_is_resumed(buyer: Beets, service: Watched) -> None:
    """A download that answers 404 fails the job; its purchase holds the results, and beet's own command goes on."""
    service.faults.add(refuse("GET", FILES, 404, times=40))
    outcome = buyer.run("stems", "-y")
    assert outcome.code == 1 and "Traceback" not in outcome.err
    assert "`beet stembridge resume`" in outcome.err and "stembridge jobs" not in outcome.err
    assert "1 track unfinished, go on with: beet stembridge resume" in outcome.err
    service.faults.clear()
    buyer.do("stembridge", "resume")
    assert service.created == 1
    expect_stems(buyer, buyer.music / "Artist", "One")


def test_what_is_gone_everywhere_says_how_to_buy_it_again(buyer: Beets, service: Watched) -> None:
    """Never without the user's word, which is ``beet stems -f``."""
    buyer.do("stems", "-y")
    shutil.rmtree(buyer.music / "Artist" / "One.stems")
    forget(buyer, service)
    for words in (("stems", "-y"), ("stems", "-y")):
        outcome = buyer.run(*words)
        assert (outcome.code, service.created) == (1, 1)
        assert "`beet stembridge retry` looks again, `beet stems -f id:1` buys it again" in outcome.err
        assert "stembridge jobs" not in outcome.err and "Traceback" not in outcome.err
    assert buyer.do("stembridge", "resume").out == "nothing is left to be done\n"
    buyer.do("stems", "-y", "-f", "id:1")
    assert service.created == 2
    expect_stems(buyer, buyer.music / "Artist", "One")
