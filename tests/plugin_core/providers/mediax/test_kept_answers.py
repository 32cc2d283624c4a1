"""What is paid for and not understood: kept, said, and read by a version that understands more."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from plugin_core import JobState, Session, Settings, Tagging
from plugin_core.protocols import ANSWER
from plugin_core.providers.mediax import answers
from plugin_core.settings import Secret
from plugin_core.tags.reader import read_fields
from tests.audio_files import write_song
from tests.plugin_core.operations.running import tag
from tests.plugin_core.providers.mediax.conftest import tagger_for
from tests.plugin_core.tagger_fakes import FakeStager, load_taggers
from tests.simulators.mediax import SECRET_ID, UNHEARD, MediaxSimulator


def test_an_answer_in_an_unknown_form_is_kept_and_read_later(
    service: MediaxSimulator, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.form = UNHEARD
    song = write_song(tmp_path / "Song.flac")
    tagger = tagger_for(service, poll_first=0.01, poll_longest=0.01)
    with Session(Settings(home), load_taggers(tagger, stagers=(FakeStager(),))) as session:
        job, _ = tag(session, song, provider="mediax")
        assert job.state is JobState.FAILED
        assert job.problem is not None
        assert "songProfile" in job.problem.message
        assert f"stembridge jobs retry {job.id}" in job.problem.remedy
        assert "nothing is bought again" in job.problem.remedy
        purchase = session.store.purchases.find(job.purchase)
        assert purchase is not None
        assert json.loads(purchase.note[ANSWER])["outputs"][0]["smartContentResult"]["songProfile"]["mood"]
        # The same version asks once more, and buys nothing.
        asyncio.run(session.run([session.retry(job.id).id]))
        assert session.store.get(job.id).state is JobState.FAILED
        asked = len(service.log)
        monkeypatch.setattr(answers, "_CONTAINERS", answers._CONTAINERS | {"songprofile"})
        monkeypatch.setattr(answers, "_LABEL", (*answers._LABEL, "guess"))
        asyncio.run(session.run([session.retry(job.id).id]))
        assert session.store.get(job.id).state is JobState.DONE
    assert (service.created, len(service.log)) == (1, asked), "nothing is bought or asked again"
    assert read_fields(song)["mood"] == ("Calm",)


def test_a_part_that_is_not_understood_is_told_and_read_by_a_later_version(
    service: MediaxSimulator, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song, read = write_song(tmp_path / "Song.flac"), answers._text
    service.labels = {"mood": ("安静", "0.9"), "genre": ("摇滚", "0.9")}
    tagger = tagger_for(service, poll_first=0.01, poll_longest=0.01)
    with Session(Settings(home), load_taggers(tagger, stagers=(FakeStager(),))) as session:
        with monkeypatch.context() as earlier:
            earlier.setattr(answers, "_text", lambda fields: read(fields).replace("摇滚", ""))
            first, _ = tag(session, song, provider="mediax")
            assert first.state is JobState.DONE
            assert any("genre is not understood" in note for note in first.notes), first.notes
            assert "genre" not in read_fields(song)
            again, is_new = tag(session, song, provider="mediax")
            assert (again.id, is_new) == (first.id, False)
        asked = len(service.log)
        # What is only shown is read anew as well.
        shown, is_new = tag(session, song, provider="mediax", write=False)
        assert (shown.state, is_new, len(shown.labels)) == (JobState.DONE, True, 2)
        later, is_new = tag(session, song, provider="mediax")
        assert (later.state, is_new) == (JobState.DONE, True)
        assert not any("not understood" in note for note in later.notes), later.notes
        assert read_fields(song)["genre"] == ("Rock",)
        again, is_new = tag(session, song, provider="mediax")
        assert (again.id, is_new) == (later.id, False)
    assert (service.created, len(service.log)) == (1, asked), "nothing is bought or asked again"


def test_an_answer_that_is_understood_is_kept_with_what_was_bought(
    service: MediaxSimulator, home: Path, tmp_path: Path
) -> None:
    tagger = tagger_for(service, poll_first=0.01, poll_longest=0.01)
    with Session(Settings(home), load_taggers(tagger, stagers=(FakeStager(),))) as session:
        job, _ = tag(session, write_song(tmp_path / "Song.flac"), provider="mediax")
        purchase = session.store.purchases.find(job.purchase)
        assert isinstance(job.operation, Tagging)
    assert purchase is not None
    assert json.loads(purchase.note[ANSWER])["outputs"][0]["smartContentResult"]["musigTagV2"]
    assert "signature=secret" not in purchase.note[ANSWER]


def test_labels_that_were_bought_with_keys_of_before_serve_with_those_of_now(
    service: MediaxSimulator, home: Path, tmp_path: Path
) -> None:
    song = write_song(tmp_path / "Song.flac")
    for keys, names, policy in ((SECRET_ID, "en", "fill"), ("renewed", "zh", "replace")):
        tagger = tagger_for(service, secret_id=Secret(keys), poll_first=0.01, poll_longest=0.01)
        with Session(Settings(home), load_taggers(tagger, stagers=(FakeStager(),))) as session:
            job, is_new = tag(session, song, provider="mediax", labels=names, policy=policy)
        assert (job.state, is_new, service.created) == (JobState.DONE, True, 1)
    assert read_fields(song)["mood"] != ("Calm",)
