"""What a job's objects may be called, and which of them may be removed."""

from __future__ import annotations

from asyncio import run

import pytest

from plugin_core.errors import RefusedError, TransientError
from plugin_core.model import RemoteFile
from plugin_core.providers.mediax.separator import candidates, remove_stems
from plugin_core.providers.mediax.stems import make_place
from tests.plugin_core.providers.mediax.conftest import Shelf
from tests.simulators.blobs import Blob

PLACE = make_place("stembridge", "key-1")
FOLDER, PREFIX = PLACE.folder, PLACE.prefix


def file(url: str) -> RemoteFile:
    return RemoteFile(label="x", stem="x", name=url.rpartition("/")[2], url=url)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{PREFIX}_a.wav", [f"{FOLDER}/{PREFIX}_a.wav", f"{PREFIX}_a.wav"]),
        (f"{FOLDER}/{PREFIX}_a.wav", [f"{FOLDER}/{PREFIX}_a.wav"]),
        (f"bucket/{FOLDER}/a.wav", [f"{FOLDER}/a.wav", f"bucket/{FOLDER}/a.wav"]),
        ("a.wav", [f"{FOLDER}/a.wav", f"{FOLDER}/{PREFIX}a.wav", "a.wav"]),
    ],
    ids=["relative", "whole", "behind a bucket", "bare"],
)
def test_the_jobs_own_names_come_first(name: str, expected: list[str]) -> None:
    assert candidates(PLACE, name) == expected


def test_only_the_jobs_own_objects_are_removed(shelf: Shelf) -> None:
    other = make_place("stembridge", "key-2").folder
    own = [f"{FOLDER}/{PREFIX}_a.wav", f"{FOLDER}/left.wav", f"elsewhere/{PREFIX}_b.wav"]
    users = ["precious.wav", "elsewhere/precious.wav", f"{other}/a.wav", "stembridge/links/k/song.wav"]
    shelf.objects.update(dict.fromkeys([*own, *users], Blob.of(b"x")))
    named = [*map(file, [f"{PREFIX}_a.wav", *users]), file(f"elsewhere/{PREFIX}_b.wav")]
    run(remove_stems(shelf, PLACE, named))
    assert sorted(shelf.objects) == sorted(users)
    assert all(PLACE.owns(name) for name in shelf.removed)


def test_without_the_right_to_list_what_is_named_is_removed(shelf: Shelf) -> None:
    shelf.refusal = RefusedError("no rights")
    shelf.objects[f"{FOLDER}/{PREFIX}_a.wav"] = Blob.of(b"x")
    run(remove_stems(shelf, PLACE, [file(f"{PREFIX}_a.wav")]))
    assert shelf.objects == {}


def test_a_bucket_that_does_not_answer_is_asked_again_later(shelf: Shelf) -> None:
    shelf.refusal = TransientError("away")
    with pytest.raises(TransientError):
        run(remove_stems(shelf, PLACE, ()))
