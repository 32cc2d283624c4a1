"""What is asked of a disk before a song is taken is what the core asks for later."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from stembridge_hot_folder.first_look import find_no_room
from stembridge_hot_folder.queue import Obstacle

from plugin_core.files import disk
from plugin_core.model import Job, JobState, Separation, Source, Tagging
from plugin_core.purchases.purchase import Offer
from plugin_core.session import Session
from tests.audio_files import write_song
from tests.hosts.hot_folder.conftest import Desk
from tests.plugin_core.cli.jobs import make_job

WISH = Separation(provider="fake", format="wav16")


@pytest.fixture
def session(desk: Desk) -> Session:
    return desk.context().session()


@pytest.fixture
def song(desk: Desk) -> Path:
    return write_song(desk.root / "Song.wav", 2.0)


def offer_of(session: Session, song: Path) -> Offer:
    return asyncio.run(session.offer(session.inspect(song), WISH))


def find(session: Session, desk: Desk, *offers: Offer) -> Obstacle | None:
    return asyncio.run(find_no_room(session, offers, os.fsencode(desk.root), "recipe"))


def needed_by_core(session: Session, source: Source, offer: Offer) -> int:
    return asyncio.run(session.bytes_needed(source, offer.plan))


@pytest.mark.parametrize(("missing", "is_taken"), [(0, True), (1, False)], ids=["just enough", "a byte short"])
def test_a_song_is_taken_where_the_core_would_not_refuse_it(
    session: Session, desk: Desk, song: Path, monkeypatch: pytest.MonkeyPatch, missing: int, is_taken: bool
) -> None:
    with session:
        offer = offer_of(session, song)
        needed = needed_by_core(session, offer.source, offer)
        monkeypatch.setattr(disk, "free_bytes", lambda _folder: needed - missing)
        trouble = find(session, desk, offer)
    assert (trouble is None) == is_taken
    if trouble is not None:
        assert "MiB free and the stems may take" in trouble.reason
        assert trouble.gate == os.fsencode(desk.root)


def test_labels_and_stems_that_stand_need_no_room(
    session: Session, desk: Desk, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda _folder: 0)
    done: Job = make_job(JobState.DONE)
    with session:
        offer = offer_of(session, song)
        standing = Offer(source=offer.source, plan=offer.plan, standing=done)
        tagging = Offer(source=offer.source, plan=type(offer.plan)(operation=Tagging(provider="ears")))
        assert find(session, desk, standing, tagging) is None
        assert find(session, desk, standing, offer) is not None
