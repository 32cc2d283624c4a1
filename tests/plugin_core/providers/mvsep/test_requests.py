"""Links of the user's own, words, and two songs: what is sent, kept, shown, charged and placed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import OutcomeUnknownError, SourceError, UsageError
from plugin_core.providers.mvsep import plugin
from plugin_core.providers.mvsep.account_calls import HistoryEntry, UsedAlgorithm
from plugin_core.providers.mvsep.adapter import MvsepSeparator
from plugin_core.providers.mvsep.caller import MvsepSettings
from plugin_core.providers.mvsep.hashes import SEEN, find_unnamed, job_key
from plugin_core.providers.mvsep.requests import Kind, Requests, keep_given, remote_type_of
from plugin_core.settings import Secret
from plugin_core.stems.layout import RECORD
from plugin_core.tags.fields import TagSet
from plugin_core.tags.writer import write_tags
from plugin_core.wishes import Separation
from tests.audio_files import write_song
from tests.plugin_core.cli.conftest import Run, run_here
from tests.plugin_core.cli.fakes import FakePoint
from tests.plugin_core.providers.mvsep.fakes import FakeClient, make_order
from tests.simulators.faults import reset_after
from tests.simulators.mvsep import PREMIUM_TOKEN, Behaviour, MvsepSimulator
from tests.simulators.mvsep.walks import INSTANT

SECRETS = ("s3cret-signature", "us3r:p4ssword", "h00k-token")


@pytest.fixture
def stembridge(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return run_here(capsys, FakePoint("mvsep", plugin))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[MvsepSimulator]:
    with MvsepSimulator(behaviour=Behaviour(walk=INSTANT, remote_walk=INSTANT, remote_misses=0)) as simulator:
        values = {"BASE_URL": simulator.api, "API_TOKEN": PREMIUM_TOKEN, "POLL_FIRST": "0.01", "REGISTER_SECONDS": "0"}
        for name, value in values.items():
            monkeypatch.setenv(f"STEMBRIDGE_MVSEP_{name}", value)
        yield simulator


def test_a_song_behind_a_link_is_separated_once_and_its_link_is_seen_nowhere(
    stembridge: Run, service: MvsepSimulator, home: Path, tmp_path: Path
) -> None:
    write_song(tmp_path / "Song.flac", 0.3)
    assert stembridge("separate", "Song.flac", "--provider", "mvsep", "--yes").code == 0
    (first,) = service.jobs
    host = service.url.removeprefix("http://")
    link = f"http://us3r:p4ssword@{host}/storage/temp/{first.hash}?key=s3cret-signature"
    service.accounts[PREMIUM_TOKEN].credits = 50
    place = tmp_path / "place"
    place.mkdir()
    options = ["--option", "preset_id=77", "--option", "webhook_url=https://hook.example/?t=h00k-token"]
    words = ["separate", link, "--provider", "mvsep", "--model", "40", *options, "--to", place, "--yes", "--json"]
    result = stembridge(*words)
    assert result.code == 0, result.out + result.err
    sent = {"preset_id": "77", "webhook_url": "https://hook.example/?t=h00k-token"}
    form = service.requests("POST", "*/separation/create")[-1].form
    assert ({"url": link, "remote_type": "direct"} | sent).items() <= form.items()
    name = Path(first.hash).stem
    placed = sorted(path.relative_to(place).as_posix() for path in place.rglob("*.flac"))
    assert placed == [f"{name}.stems/{name} - {stem}.flac" for stem in ("Instrumental", "Vocals")]
    # Who is told of the end makes it no other purchase.
    again = stembridge(*words[:8], "--option", "webhook_url=https://other.example", "--to", tmp_path, "--yes", "--json")
    assert (again.code, service.created) == (0, 2), again.out
    kept = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    for secret in SECRETS[:2]:
        assert secret not in result.out + result.err + again.out + again.err
        assert [path for path, content in kept.items() if secret.encode() in content] == []
    assert SECRETS[2] not in result.out + result.err
    assert {stat.S_IMODE(path.stat().st_mode) for path, content in kept.items() if b"h00k-token" in content} == {0o600}


def test_what_is_fetched_of_a_request_or_is_no_stem_is_placed_as_it_came(
    stembridge: Run, service: MvsepSimulator, tmp_path: Path
) -> None:
    write_song(tmp_path / "Song.flac", 0.3)
    made = stembridge("separate", "Song.flac", "--provider", "mvsep", "--model", "59", "--yes")
    spoken = stembridge("mvsep", "create", "Bark", "--option", "Text=Hello", "--to", tmp_path, "--yes")
    link = f"{service.url}/storage/temp/{service.jobs[0].hash}"
    parted = stembridge("separate", link, "--provider", "mvsep", "--model", "40", "--to", tmp_path, "--yes", "--json")
    assert (made.code, spoken.code, parted.code) == (0, 0, 0)
    restored, speech, song = service.jobs
    # By the purchase, which knows what stands for the song; by the hash, as made elsewhere and of a song named here.
    (bought,) = [one["id"] for one in stembridge("purchases", "--json").of("purchase") if one["model"] == "40"]
    for number, (job, words) in enumerate(
        [(song, [bought]), (restored, [restored.hash, "Song.flac"]), (speech, [speech.hash, "Song.flac"])]
    ):
        place = tmp_path / str(number)
        place.mkdir()
        fetched = stembridge("fetch", "mvsep", *words, "--to", place)
        assert fetched.code == 0, fetched.err
        placed = {path.read_bytes() for path in place.rglob("*.flac")}
        assert placed == {result.content.read() for result in job.results or []}, job.hash
    assert service.created == 3


def test_links_are_kept_for_their_owner_alone_until_they_are_dropped(tmp_path: Path) -> None:
    requests = Requests(tmp_path)
    link = Secret("https://files.example/My%20Song.flac?signature=s3cret-signature")
    path = requests.keep_link(link)
    assert (path.name, requests.kind_of(path), requests.kind_of(tmp_path / "Song.wav")) == (
        "My Song.wav",
        Kind.LINK,
        None,
    )
    (tmp_path / "alias").symlink_to(tmp_path)
    for home in (tmp_path / "alias", tmp_path / "mvsep" / ".."):
        assert Requests(home).kind_of(path) is Kind.LINK
        assert requests.kind_of(home / path.relative_to(tmp_path)) is Kind.LINK
    assert requests.keep_link(link) == path
    assert requests.keep_link(Secret(link.reveal() + "x")).read_bytes() != path.read_bytes()
    assert stat.S_IMODE((path.parent / "link").stat().st_mode) == 0o600
    assert requests.link_of(path) == link
    os.utime(path.parent / "link", (0, 0))
    other = requests.keep_link(Secret(link.reveal() + "y"))
    with pytest.raises(UsageError, match="not kept any more"):
        requests.link_of(path)
    requests.drop_link(other)
    with pytest.raises(UsageError, match="not kept any more"):
        requests.link_of(other)
    for word in ("ftp://x/y", "https://", "http://[::1"):
        with pytest.raises(UsageError, match="no link"):
            requests.keep_link(Secret(word))


@pytest.mark.parametrize(
    ("link", "kind"),
    [
        ("https://mega.nz/file/abc#key", "mega"),
        ("https://drive.google.com/file/d/1aB/view", "drive"),
        ("https://www.dropbox.com/s/abc/Song.flac?dl=0", "dropbox"),
        ("https://notmega.nz/Song.flac", "direct"),
    ],
)
def test_kinds_of_links_are_recognised_and_shares_are_not_named(tmp_path: Path, link: str, kind: str) -> None:
    assert remote_type_of(Secret(link)) == kind
    assert Requests(tmp_path).keep_link(Secret(link)).stem.startswith("Song" if kind == "direct" else f"{kind}-")


def test_words_whose_answer_was_lost_are_found_and_made_once(
    stembridge: Run, service: MvsepSimulator, tmp_path: Path
) -> None:
    service.faults.add(reset_after("POST", "*/separation/create"))
    words = ["mvsep", "create", "115", "--option", "Text=Good morning", "--option", "Speaker=en_1", "--yes"]
    assert stembridge(*words).code == 0
    assert service.created == 1
    (audio,) = tmp_path.glob("Good morning.stems/[!.]*")
    assert audio.name == "Good morning - Audio.flac"
    assert (stembridge(*words).code, service.created) == (0, 1)
    assert stembridge(*words, "--force").code == 0
    assert service.created == 2


def test_what_was_placed_as_it_came_is_known_to_a_fresh_home(
    stembridge: Run, service: MvsepSimulator, home: Path, tmp_path: Path
) -> None:
    write_song(tmp_path / "Song.flac", 0.3)
    speech = ["mvsep", "create", "115", "--option", "Text=Good morning", "--option", "Speaker=en_1", "--yes"]
    as_is = ["separate", "Song.flac", "--provider", "mvsep", "--model", "40", "--as-is", "--yes"]
    plain = as_is[:-2]
    for words in (speech, as_is):
        service.behave(Behaviour(walk=INSTANT))
        assert stembridge(*words).code == 0
        # What is forced takes the place of what it makes anew, its record with it.
        service.behave(Behaviour(walk=INSTANT, delay=7))
        assert stembridge(*words, "--force").code == 0
    assert (service.created, len(list(tmp_path.glob("*.stems")))) == (4, 2)
    write_tags(tmp_path / "Song.flac", TagSet({"artist": ("Me",)}))
    write_tags(tmp_path / "Good morning.stems" / "Good morning - Audio.flac", TagSet({"artist": ("Me",)}))
    shutil.rmtree(home)
    for words in (speech, as_is):
        assert "made before" in stembridge(*words).out
    assert service.created == 4
    shutil.rmtree(home)
    # Where one is gone, and where they are wished for in another form, they are not what is wanted.
    assert "already" not in stembridge(*plain, "-n").out
    (vocals,) = (tmp_path / "Song.stems").glob("*Vocals.flac")
    heard = vocals.read_bytes()
    vocals.write_bytes((tmp_path / "Song.flac").read_bytes())
    assert "already" not in stembridge(*as_is[:-1], "-n").out
    vocals.write_bytes(heard)
    assert "already" in stembridge(*as_is[:-1], "-n").out
    vocals.unlink()
    (tmp_path / "Good morning.stems" / RECORD).write_text('{"files": {"../Song.flac": {}, "x": 3}}')
    for words in (speech, as_is):
        assert "already" not in stembridge(*words[:-1], "-n").out


def test_what_stands_for_a_request_goes_with_its_jobs(
    stembridge: Run, service: MvsepSimulator, home: Path, tmp_path: Path
) -> None:
    speech = ["mvsep", "create", "115", "--option", "Text=Good morning", "--option", "Speaker=en_1"]
    hook = ["--option", "webhook_url=https://hook.example/?t=h00k-token"]
    assert stembridge(*speech, *hook, "--yes").code == 0
    assert stembridge("separate", "https://x.example/y.flac", "--provider", "mvsep", "-n").code == 0
    kept = home / "mvsep"
    assert {path.parent.name for path in kept.glob("*/*")} == {"words", "links", "given"}
    stembridge("jobs", "prune")
    assert len(list(kept.glob("*/*"))) == 3, "all of it is new"
    for path in kept.glob("*/*"):
        os.utime(path, (1e9, 1e9))
    assert "and 1 more, left behind by earlier runs" in stembridge("doctor").out
    stembridge("jobs", "prune")
    assert {path.parent.name for path in kept.glob("*/*")} == {"words"}, "its job is known"
    stembridge("jobs", "prune", "--older-than", "0d")
    assert list(kept.glob("*/*")) == []
    # Made anew it is the same, however the same is said, and whoever hears of it: what stands is known by it.
    assert (stembridge(*speech, "--yes").code, service.created) == (0, 1)
    same = ["mvsep", "create", "Bark", "--option", "add_opt2=en_1", "--option", "add_opt1=Good morning", "--yes"]
    assert (stembridge(*same).code, service.created) == (0, 1)
    assert [path.name for path in tmp_path.glob("*.stems")] == ["Good morning.stems"]


def test_a_song_is_given_another_to_sound_like(stembridge: Run, service: MvsepSimulator, tmp_path: Path) -> None:
    write_song(tmp_path / "Song.flac", 0.3)
    reference = write_song(tmp_path / "Reference.flac", 0.2)
    words = ["mvsep", "create", "68", "--target", "Song.flac", "--reference", "Reference.flac", "--yes"]
    assert stembridge(*words).code == 0
    assert [path.name for path in tmp_path.glob("Song.stems/[!.]*")] == ["Song - Mastered.flac"]
    assert service.jobs[0].hash.split("-")[2].startswith("sb")
    requests = Requests(tmp_path / "home")
    kept = keep_given(requests, Separation(provider="mvsep", options={"reference": str(reference)}))
    assert keep_given(requests, kept) == kept
    with pytest.raises(SourceError, match="is no file"):
        keep_given(requests, Separation(provider="mvsep", options={"reference": "none.flac"}))
    with pytest.raises(UsageError, match="webhook_url"):
        keep_given(requests, Separation(provider="mvsep", options={"webhook_url": "ftp://x"}))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mvsep", "create", "40"], "stembridge separate SONG --model 40"),
        (["mvsep", "create", "68"], "give --target and --reference"),
        (["mvsep", "create", "115", "--target", "Song.flac"], "takes no file"),
        (["mvsep", "create", "115"], "needs option 'Text'"),
        (["separate", "Song.flac", "--provider", "mvsep", "--model", "115"], "stembridge mvsep create 115"),
        (["separate", "Song.flac", "https://x.example/y.flac", "--provider", "mvsep"], "in two runs"),
        (
            ["separate", "https://x.example/y.flac?s3cret", "--provider", "mvsep", "--residual"],
            "nothing can be subtracted",
        ),
    ],
)
def test_what_a_model_does_not_take_is_refused_with_the_way(
    stembridge: Run, service: MvsepSimulator, tmp_path: Path, words: list[str], says: str
) -> None:
    write_song(tmp_path / "Song.flac", 0.2)
    result = stembridge(*words)
    assert (result.code, says in result.err, "s3cret" in result.err) == (2, True, False), result.err
    assert service.created == 0


def entry(job: str, model: int | None) -> HistoryEntry:
    return HistoryEntry(hash=job, algorithm=UsedAlgorithm(render_id=model))


def test_what_carries_no_key_is_found_only_where_it_is_the_only_one(tmp_path: Path) -> None:
    client = FakeClient()
    order = make_order(tmp_path, model="115")
    assert asyncio.run(find_unnamed(client, order)) is None
    order = msgspec.structs.replace(order, note={SEEN: json.dumps(["old"])})
    client.entries = [entry("other", 40), entry("old", 115)]
    assert asyncio.run(find_unnamed(client, order)) is None
    client.entries.insert(0, entry("mine", 115))
    client.queue_up("mine", "old")
    assert asyncio.run(find_unnamed(client, order)) == "mine"
    # Songs' own jobs, and those of other requests, are none of it.
    client.entries.insert(0, entry(f"20260101101500-0a1b2c3d4e-{job_key('song')}-x.flac", 115))
    client.entries.insert(0, entry("theirs", 115))
    requests = Requests(tmp_path)
    other = requests.keep_link(Secret("https://files.example/Other.flac"))
    for _ in range(2):
        requests.note_job(other, "theirs")
    assert asyncio.run(find_unnamed(client, order, requests.known_jobs())) == "mine"
    client.entries.insert(0, entry("unknown", None))
    with pytest.raises(OutcomeUnknownError, match="several"):
        asyncio.run(find_unnamed(client, order, {"theirs"}))
    # The name of the file that was fetched tells them apart.
    named = f"20260101101500-0a1b2c3d4e-{order.source.path.stem.lower()}.flac"
    client.entries.insert(0, entry(named, 115))
    assert asyncio.run(find_unnamed(client, order, {"theirs"})) == named


def test_a_link_that_is_not_listed_is_never_sent_twice(home: Path, tmp_path: Path) -> None:
    separator = MvsepSeparator(MvsepSettings(api_token=Secret("x" * 30)), home, client=FakeClient())
    path = separator.accept_link(Secret("https://files.example/Song.flac"))
    order = make_order(tmp_path, path)
    assert asyncio.run(separator.find(order)) is None
    with pytest.raises(OutcomeUnknownError, match="lists no job of this link yet"):
        asyncio.run(separator.find(msgspec.structs.replace(order, note={SEEN: "[]"})))
