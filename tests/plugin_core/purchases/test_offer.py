"""What is bought already costs nothing, and finding that out makes nothing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from plugin_core.model import Separation
from plugin_core.purchases.purchase import Offer, PurchaseState
from plugin_core.session import STORE_NAME, Session
from plugin_core.settings import Settings
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes, write_song

WISH = Separation(provider="fake")


@pytest.fixture
def fake() -> FakeSeparator:
    fake = FakeSeparator()
    fake.price = 2.0
    return fake


@pytest.fixture
def session(fake: FakeSeparator) -> Iterator[Session]:
    with Session(Settings(), load_fakes(FakePoint("fake", FakePlugin(fake)))) as opened:
        yield opened


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "Song.flac", 0.3)


@pytest.fixture
def copy(song: Path) -> Path:
    """Another file of the same content, in a place where no stems stand."""
    folder = song.parent / "elsewhere"
    folder.mkdir()
    return Path(shutil.copy(song, folder / "Copy.flac"))


def look(session: Session, path: Path, *, force: bool = False) -> Offer:
    return asyncio.run(session.offer(session.inspect(path), WISH, force=force))


def buy(session: Session, path: Path) -> None:
    """Make what is offered."""

    async def work() -> None:
        offer = await session.offer(session.inspect(path), WISH)
        job, _ = await session.add(offer.source, offer.plan)
        await session.run([job.id])

    asyncio.run(work())


def test_a_look_makes_no_store(session: Session, song: Path, home: Path) -> None:
    offer = look(session, song)
    assert (offer.plan.credits, offer.standing) == (2.0, None)
    assert not (home / STORE_NAME).exists()


def test_what_stands_is_named(session: Session, song: Path) -> None:
    buy(session, song)
    offer = look(session, song)
    assert [offer.standing] == session.store.list()


@pytest.mark.parametrize(
    ("keeps", "is_home", "told"),
    [(3600.0, False, True), (3600.0, True, False), (1e9, False, False), (None, False, False)],
    ids=["too long ago", "kept here", "not so long ago", "kept until released"],
)
def test_what_its_service_kept_too_long_ago_is_told_as_probably_expired(
    session: Session, fake: FakeSeparator, song: Path, copy: Path, home: Path,
    keeps: float | None, is_home: bool, told: bool,
) -> None:  # fmt: skip
    buy(session, song)
    fake.keeps_seconds = keeps  # type: ignore[attr-defined]
    ledger = session.store.purchases
    (purchase,) = ledger.list()
    ledger.change(purchase.id, ended=purchase.ended - 7200)
    if not is_home:
        shutil.rmtree(home / "purchases")
    for stem in session.store.list()[0].stems:
        stem.path.unlink()
    offer = look(session, copy)
    assert any("probably expired" in note for note in offer.plan.notes) is told
    # It is looked for at the service first, which costs nothing.
    assert offer.is_bought


def test_stems_bought_for_another_place_cost_nothing(
    session: Session, fake: FakeSeparator, song: Path, copy: Path
) -> None:
    buy(session, song)
    offer = look(session, copy)
    assert (offer.credits, offer.standing) == (0.0, None)
    assert any(note.startswith("bought before, on ") for note in offer.plan.notes)
    buy(session, copy)
    assert (copy.parent / "Copy.stems").is_dir()
    assert len(fake.submitted) == 1


def test_stems_that_were_changed_come_from_what_was_bought(
    session: Session, fake: FakeSeparator, song: Path, copy: Path
) -> None:
    buy(session, song)
    next((song.parent / "Song.stems").iterdir()).write_bytes(b"mine now")
    offer = look(session, copy)
    assert (offer.credits, offer.is_bought, offer.is_bought_again) == (0.0, True, False)
    buy(session, copy)
    assert len(fake.submitted) == 1 and (copy.parent / "Copy.stems").is_dir()


def test_force_costs_what_it_costs(session: Session, song: Path) -> None:
    buy(session, song)
    offer = look(session, song, force=True)
    assert (offer.plan.credits, offer.plan.notes, offer.standing) == (2.0, (), None)


def test_a_service_without_a_price_may_cost_money(
    session: Session, fake: FakeSeparator, song: Path, copy: Path
) -> None:
    fake.price = None
    assert look(session, song).is_paid
    buy(session, song)
    stands, bought, forced = look(session, song), look(session, copy), look(session, copy, force=True)
    assert (stands.is_paid, stands.is_bought) == (False, True)
    assert (bought.is_paid, bought.is_bought, bought.credits) == (False, True, 0.0)
    assert any(note.startswith("bought before, on ") for note in bought.plan.notes)
    assert (forced.is_paid, forced.is_bought) == (True, False)


@pytest.mark.parametrize(("remote", "price"), [(True, 0.0), (False, None), (False, 0.0)])
def test_what_is_free_was_never_bought(
    session: Session,
    fake: FakeSeparator,
    song: Path,
    remote: bool,
    price: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fake, "remote", remote)
    fake.price = price
    first = look(session, song)
    buy(session, song)
    again = look(session, song)
    assert again.standing is not None
    assert not any(offer.is_paid or offer.is_bought for offer in (first, again))


@pytest.mark.parametrize(
    ("state", "is_begun", "again"),
    [
        (PurchaseState.INTENT, True, False),
        (PurchaseState.SENT, True, False),
        (PurchaseState.KEPT, False, False),
        (PurchaseState.EXPIRED, False, True),
    ],
    ids=str,
)
def test_what_is_gone_would_be_bought_again_and_what_was_sent_is_begun(
    session: Session, song: Path, copy: Path, state: PurchaseState, is_begun: bool, again: bool
) -> None:
    first = look(session, copy)
    assert (first.is_begun, first.is_bought_again) == (False, False)
    buy(session, song)
    (purchase,) = session.store.purchases.list()
    offer = msgspec.structs.replace(first, purchase=msgspec.structs.replace(purchase, state=state))
    assert (offer.is_begun, offer.is_bought_again) == (is_begun, again)
    stands = msgspec.structs.replace(offer, standing=session.store.list()[0])
    assert (stands.is_begun, stands.is_bought_again) == (False, False)
