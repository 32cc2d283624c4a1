"""What people do to a song and its stems after it was bought, or while its job runs: none of it pays again.

Each test counts what was paid at the simulator.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mutagen.flac
import pytest
import soundfile

from plugin_core.tags.reader import read_tags
from tests.end_to_end.bought_bench import (
    LABELS,
    Bench,
    convert_losslessly,
    copy_far_and_delete,
    embed_cover,
    files,
    rename,
    rename_album,
    retitle,
)

KEYS = {"STEMBRIDGE_MVSEP_API_TOKEN", "STEMBRIDGE_TENCENT_SECRET_KEY", "STEMBRIDGE_MEDIAX_SECRET_KEY"}

at_all = pytest.mark.parametrize("bench", ["mvsep", "mvsep, shared", "tencent_ci", "mediax"], indirect=True)
at_separators = pytest.mark.parametrize("bench", ["mvsep", "mvsep, shared", "tencent_ci"], indirect=True)


def assert_placed(bench: Bench, song: Path) -> None:
    """Check that the song's stems stand beside it, and nothing else; or that its labels are in it."""
    if bench.command[0] == "tag":
        assert read_tags(song).fields.keys() >= LABELS
        assert files(song.parent) == [song.name]
    else:
        assert files(song.parent) == sorted([song.name, f"{song.stem}.stems"])
        assert {name.partition(" - ")[0] for name in files(song.with_suffix(".stems"))} == {song.stem}


@at_separators
def test_other_formats_fewer_stems_and_a_deleted_folder(bench: Bench, song: Path) -> None:
    bench.buy(song)
    stems = song.with_suffix(".stems")
    kept = {path.name: path.read_bytes() for path in stems.iterdir()}
    bench.buy(song, "--format", "wav24")
    bench.buy(song, "--stems", "vocals")
    bench.buy(song, "--minus", "vocals")
    # Each form has a place of its own, and nothing that stood is touched.
    assert {path.name: path.read_bytes() for path in stems.iterdir()} == kept
    assert files(song.with_name("Song (3).stems")) == ["Song - Vocals.flac"]
    minus, _ = soundfile.read(song.with_name("Song (4).stems") / "Song - No Vocals.flac")
    whole, vocals = soundfile.read(song)[0], soundfile.read(stems / "Song - Vocals.flac")[0]
    assert abs(whole - vocals - minus).max() < 2**-15
    for folder in song.parent.glob("*.stems"):
        shutil.rmtree(folder)
    bench.buy(song)
    assert {path.name: path.read_bytes() for path in stems.iterdir()}.keys() == kept.keys()
    assert bench.shop.paid == 1


@at_all
def test_tags_edited_cover_embedded_and_converted_losslessly(bench: Bench, song: Path) -> None:
    bench.buy(song)
    for act in (retitle, embed_cover, convert_losslessly):
        song = act(song)
        bench.buy(song)
        assert bench.shop.paid == 1, act
    assert_placed(bench, song)


@at_all
def test_what_stands_is_had_without_a_key_and_with_one_that_was_revoked(bench: Bench, song: Path) -> None:
    bench.buy(song)
    for key in ("revoked" * 4, ""):
        bench.environ |= dict.fromkeys(bench.environ.keys() & KEYS, key)
        bench.buy(song)
        assert_placed(bench, song)
    other = song.with_name("Other.flac")
    soundfile.write(other, soundfile.read(song)[0][::2], 44100)
    code, _, err = bench.run(*bench.command, other)
    assert (code, "stembridge login" in err) == (3, True)
    assert bench.shop.paid == 1


@at_all
def test_a_tag_edited_while_the_job_waits_does_not_fail_it(bench: Bench, song: Path) -> None:
    bench.shop.hold()
    process = bench.begin_to_buy(song)
    bench.shop.wait_asked()
    retitle(song)
    bench.end(process)
    assert bench.shop.paid == 1
    assert_placed(bench, song)
    assert mutagen.flac.FLAC(song)["title"] == ["Another Title"]


@at_all
@pytest.mark.parametrize("act", [rename, rename_album])
def test_a_song_renamed_while_its_job_runs_is_followed(bench: Bench, song: Path, act: Callable[[Path], Path]) -> None:
    bench.shop.hold()
    process = bench.begin_to_buy(song)
    bench.shop.wait_asked()
    there = act(song)
    bench.end(process)
    assert bench.shop.paid == 1
    assert_placed(bench, there)


@at_all
def test_a_song_moved_far_away_is_followed_once_it_is_handed_in_there(bench: Bench, song: Path) -> None:
    """Copied and deleted, as sync tools do, after its job was killed."""
    bench.begin_and_kill(song)
    there = copy_far_and_delete(song)
    bench.shop.let_go()
    bench.buy(there)
    assert (bench.shop.paid, len(bench.jobs())) == (1, 1)
    assert_placed(bench, there)
    assert files(song.parent) == []


@at_all
def test_one_of_two_copies_that_is_deleted_takes_nothing_with_it(bench: Bench, song: Path) -> None:
    copy = Path(shutil.copy(song, song.with_name("Copy.flac")))
    bench.shop.hold()
    process = bench.begin_to_buy(song, copy)
    bench.shop.wait_asked()
    song.unlink()
    bench.shop.let_go()
    process.communicate()
    assert bench.shop.paid == 1
    assert_placed(bench, copy)


@at_all
def test_a_plain_wish_joins_what_was_forced(bench: Bench, song: Path) -> None:
    bench.begin_and_kill(song, "--force")
    bench.shop.let_go()
    bench.buy(song)
    assert bench.shop.paid == 1
    assert_placed(bench, song)


@pytest.mark.parametrize("bench", ["mvsep"], indirect=True)
def test_what_is_kept_no_longer_is_brought_from_the_service_while_it_has_it(bench: Bench, song: Path) -> None:
    bench.environ["STEMBRIDGE_PURCHASES_KEEP_GB"] = "0"
    bench.buy(song)
    assert not list(bench.home.glob("purchases/*/*"))
    shutil.rmtree(song.with_suffix(".stems"))
    bench.buy(song)
    assert_placed(bench, song)
    assert bench.shop.paid == 1
