"""``stembridge fetch``: what a service has made is placed, and nothing is bought."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mutagen.flac import FLAC

from plugin_core import Job, JobState, Separation, Session, Settings
from plugin_core.errors import RefusedError, UnchargedError, UsageError
from plugin_core.model import Model, Ticket
from plugin_core.protocols import Finished, Order, Report, Waiting
from plugin_core.purchases.purchase import PurchaseState
from plugin_core.stems.treatment import AS_IT_CAME
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes, write_song

WISH = Separation(provider="fake")


class WebsiteSeparator(FakeSeparator):
    """Can take over what was made on its website."""

    poll_error: Exception | None = None

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:
        if self.poll_error is not None:
            raise self.poll_error
        return await super().poll(order, report)

    async def take_over(self, remote_id: str) -> Ticket:
        if remote_id == "nothing":
            raise RefusedError("the service knows no such job")
        return Ticket(remote_id=remote_id)


@pytest.fixture
def fake() -> WebsiteSeparator:
    return WebsiteSeparator()


@pytest.fixture
def shop(home: Path, fake: FakeSeparator) -> Iterator[Session]:
    with Session(Settings(home), load_fakes(FakePoint("fake", FakePlugin(fake)))) as session:
        yield session


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "Song.flac", 0.3)


def take(session: Session, remote_id: str, song: Path | None = None, wish: Separation = WISH) -> Job:
    async def work() -> Job:
        job = await session.take_over(remote_id, song, wish)
        await session.run([job.id])
        return session.store.get(job.id)

    return asyncio.run(work())


def buy(session: Session, song: Path) -> Job:
    async def work() -> Job:
        source = await session.look(song)
        plan = await session.plan(source, WISH)
        job, _ = await session.add(source, plan)
        await session.run([job.id])
        return session.store.get(job.id)

    return asyncio.run(work())


def names(job: Job) -> list[str]:
    return [stem.path.name for stem in job.stems]


@pytest.mark.parametrize("by", ["purchase", "beginning", "service"])
def test_a_purchase_of_ours_is_placed_again(shop: Session, fake: FakeSeparator, song: Path, by: str) -> None:
    bought = buy(shop, song)
    shutil.rmtree(song.with_suffix(".stems"))
    name = {"purchase": bought.purchase, "beginning": bought.purchase[:20], "service": f"remote-{bought.purchase}"}[by]
    job = take(shop, name)
    assert (job.state, names(job)) == (JobState.DONE, names(bought))
    assert all(stem.path.is_file() for stem in job.stems)
    assert len(fake.submitted) == 1 and len(shop.store.purchases.list()) == 1


@pytest.mark.parametrize("is_told", [True, False], ids=["asked for there since", "nobody knows"])
def test_a_purchase_finds_its_song_where_it_was_renamed_to(
    shop: Session, fake: FakeSeparator, song: Path, is_told: bool
) -> None:
    bought = buy(shop, song)
    renamed = song.rename(song.with_name("Renamed.flac"))
    if is_told:
        # In a folder that nobody looks into by itself.
        renamed = renamed.rename(Path(tempfile.mkdtemp(dir=song.parent)) / "Renamed.flac")
        buy(shop, renamed)
        shutil.rmtree(renamed.with_suffix(".stems"))
        (purchase,) = shop.store.purchases.list()
        assert (purchase.song, shop.store.song_of(purchase)) == (song, renamed)
    job = take(shop, bought.purchase)
    assert (job.state, job.source.path) == (JobState.DONE, renamed)
    assert {stem.path.parent for stem in job.stems} == {renamed.with_suffix(".stems")}
    assert len(fake.submitted) == 1


def test_songs_that_changed_names_with_each_other_are_told_apart(
    shop: Session, fake: FakeSeparator, song: Path, tmp_path: Path
) -> None:
    other = write_song(tmp_path / "Other.flac", 0.3, seed=9)
    bought = [buy(shop, one) for one in (song, other)]
    for one in (song, other):
        shutil.rmtree(one.with_suffix(".stems"))
    song.rename(tmp_path / "between")
    other.rename(song)
    (tmp_path / "between").rename(other)
    purchases = [shop.store.purchases.get(job.purchase) for job in bought]
    assert shop.store.songs_of(purchases) == [other, song]
    jobs = [take(shop, job.purchase) for job in bought]
    assert [job.source.path for job in jobs] == [other, song]
    assert [job.stems[0].path.parent for job in jobs] == [one.with_suffix(".stems") for one in (other, song)]
    assert not any("another recording" in note for job in jobs for note in job.notes)
    assert len(fake.submitted) == 2


@pytest.mark.parametrize("is_other", [True, False], ids=["another song", "the same retagged"])
def test_stems_of_one_song_beside_another_are_said(
    shop: Session, fake: FakeSeparator, song: Path, tmp_path: Path, is_other: bool
) -> None:
    bought = buy(shop, song)
    other = tmp_path / "other" / "Other.flac"
    other.parent.mkdir()
    write_song(other, 0.3, seed=9) if is_other else shutil.copy(song, other)
    audio = FLAC(other)
    audio["title"] = "Other"
    audio.save()
    job = take(shop, bought.purchase, other)
    assert job.state is JobState.DONE and job.stems[0].path.parent == other.with_suffix(".stems")
    assert any("which is another recording" in note for note in job.notes) == is_other
    assert len(fake.submitted) == 1


def test_results_that_are_no_stems_come_as_they_are(
    shop: Session, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought = buy(shop, song)
    model = Model(id=bought.quote.sent["model"] if bought.quote else "", name="Speaker", stems=(), results="speech")

    async def models(_self: object) -> list[Model]:
        return [model]

    monkeypatch.setattr(WebsiteSeparator, "models", models)
    (tmp_path / "there").mkdir()
    job = take(shop, bought.purchase, wish=Separation(provider="fake", format="wav24", to=tmp_path / "there"))
    assert (job.state, AS_IT_CAME in job.notes) == (JobState.DONE, True)


def test_in_another_form_and_place(shop: Session, fake: FakeSeparator, song: Path, tmp_path: Path) -> None:
    bought = buy(shop, song)
    (tmp_path / "there").mkdir()
    job = take(shop, bought.purchase, wish=Separation(provider="fake", format="wav24", to=tmp_path / "there"))
    assert {(stem.path.suffix, stem.path.parents[1]) for stem in job.stems} == {(".wav", tmp_path / "there")}
    assert len(fake.submitted) == 1


def test_a_job_of_the_website_is_placed_and_known_from_then_on(shop: Session, fake: FakeSeparator, song: Path) -> None:
    job = take(shop, "of the website", song)
    assert (job.state, names(job)) == (JobState.DONE, ["Song - Vocals.flac", "Song - Instrumental.flac"])
    (purchase,) = shop.store.purchases.list()
    assert (purchase.state, purchase.quote.title) == (PurchaseState.KEPT, "made elsewhere")
    shutil.rmtree(song.with_suffix(".stems"))
    # Its song is known by now.
    assert take(shop, "of the website").state is JobState.DONE
    assert fake.submitted == [] and len(shop.store.purchases.list()) == 1


def test_what_cannot_be_taken_over(shop: Session, fake: FakeSeparator, song: Path) -> None:
    with pytest.raises(UsageError, match="its song is not known"):
        take(shop, "of the website")
    with pytest.raises(RefusedError, match="no such job"):
        take(shop, "nothing", song)
    bought = buy(shop, song)
    shop.store.purchases.change(bought.purchase, provider="other")
    with pytest.raises(UsageError, match="was bought from other, not fake"):
        take(shop, bought.purchase)
    with pytest.raises(UsageError, match="no separator 'other'"):
        take(shop, bought.purchase, wish=Separation(provider="other"))


def test_a_separator_that_cannot_says_so(home: Path, song: Path) -> None:
    with (
        Session(Settings(home), load_fakes(FakePoint("fake", FakePlugin(FakeSeparator())))) as session,
        pytest.raises(UsageError, match="cannot take over jobs that were not made here"),
    ):
        take(session, "of the website", song)


@pytest.mark.parametrize("state", [PurchaseState.CANCELLED, PurchaseState.SENT], ids=str)
def test_what_the_service_never_had_is_not_bought(
    shop: Session, fake: FakeSeparator, song: Path, state: PurchaseState
) -> None:
    bought = buy(shop, song)
    shutil.rmtree(song.with_suffix(".stems"))
    shop.store.purchases.change(bought.purchase, state=state, ticket=None, results=(), kept=(), reason="too busy")
    with pytest.raises(UsageError, match="the service has nothing of"):
        take(shop, bought.purchase)
    assert len(fake.submitted) == 1


def test_a_retry_of_what_the_website_failed_buys_nothing(shop: Session, fake: WebsiteSeparator, song: Path) -> None:
    fake.poll_error = UnchargedError("out of memory")
    failed = take(shop, "of the website", song)
    assert failed.state is JobState.FAILED
    for force in (False, True):
        shop.retry(failed.id, force=force)
        asyncio.run(shop.run([failed.id]))
        problem = shop.store.get(failed.id).problem
        assert problem is not None and "made elsewhere" in problem.message
    assert fake.submitted == []
