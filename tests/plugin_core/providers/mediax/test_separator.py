"""MediaX's stems as the core drives them."""

from __future__ import annotations

import json
from asyncio import run
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from plugin_core.abilities import HasAccount, HasDiagnostics, HasLogin
from plugin_core.errors import RefusedError, ServiceError, SettingsError, StembridgeError, TransientError, UsageError
from plugin_core.model import Part, Progress, RemoteFile, Separation, Source, Ticket, to_json
from plugin_core.operations.song import inspect
from plugin_core.protocols import TOLD, Finished, Order, ReadsFromUrl, ReturnsInBucket, Separator, Waiting
from plugin_core.providers.mediax.client import MediaxClient
from plugin_core.providers.mediax.separator import MediaxSeparator
from plugin_core.providers.mediax.stems import NAME, make_place
from plugin_core.service import LOOKS
from plugin_core.settings import Secret
from tests.audio_files import make_song, read_samples, write_samples, write_song
from tests.plugin_core.providers.mediax.conftest import Shelf, separator_for, settings_for, tagger_for
from tests.plugin_core.providers.plans import allow
from tests.simulators import faults
from tests.simulators.blobs import Blob
from tests.simulators.mediax import MediaxSimulator
from tests.simulators.mediax_stems import CONTENT_ID, FORMS, NAMES, TONES, StemMaker

KEY = "01890000-0000-7000-8000-000000000001"
PLACE = make_place("stembridge", KEY)


def silent(_progress: Progress) -> None:
    return None


@pytest.fixture
def song(tmp_path: Path) -> Source:
    return inspect(write_song(tmp_path / "Song.wav", 0.5))


@pytest.fixture
def service(shelf: Shelf) -> Iterator[MediaxSimulator]:
    """MediaX, whose registered bucket is the shelf."""
    with MediaxSimulator(stems=StemMaker(put=shelf.objects.__setitem__)) as simulator:
        yield simulator


@pytest.fixture
def order(song: Source, shelf: Shelf, tmp_path: Path) -> Order:
    shelf.objects["song.wav"] = Blob.of(song.path.read_bytes())
    folder = tmp_path / "parts"
    folder.mkdir()
    return Order(
        key=KEY,
        attempt="a",
        source=song,
        operation=Separation(provider=NAME, model="four-stems"),
        folder=folder,
        url=Secret(f"{shelf.server.url}/song.wav"),
        bucket=shelf,
    )


def follow(separator: MediaxSeparator, order: Order) -> Order:
    """Submit and poll to the end; return the order as ``fetch`` gets it."""
    order = msgspec.structs.replace(order, ticket=run(separator.submit(order, silent)))
    while isinstance(answer := run(separator.poll(order, silent)), Waiting):
        pass
    return msgspec.structs.replace(order, results=answer.files)


def stems_of(parts: Any) -> list[str]:
    return [part.stem for part in parts]


def assert_sums_to(song: Source, parts: list[Part]) -> None:
    whole, _ = read_samples(song.path)
    total = sum(read_samples(part.path)[0] for part in parts)
    assert np.abs(total - whole).max() < 2**-15


def test_it_keeps_every_promise_it_needs_and_no_more(service: MediaxSimulator) -> None:
    separator = separator_for(service)
    assert isinstance(separator, Separator)
    assert isinstance(separator, ReadsFromUrl)
    assert isinstance(separator, ReturnsInBucket)
    # What there is to say of the account is said by the tagger of the same section.
    assert not isinstance(separator, HasLogin | HasDiagnostics | HasAccount)
    assert "(experimental)" in separator.title
    assert len(run(separator.models())) == 3


@pytest.mark.parametrize(
    ("rest", "bucket"),
    [({}, ""), ({"stager": "cos"}, "cos"), ({"stager": "public_url", "bucket_stager": "s3"}, "s3")],
)
def test_the_bucket_is_the_stager_unless_another_is_named(
    service: MediaxSimulator, rest: dict[str, str], bucket: str
) -> None:
    assert separator_for(service, **rest).bucket == bucket


def test_plan_fills_in_the_defaults(service: MediaxSimulator, song: Source) -> None:
    plan = run(separator_for(service).plan(song, Separation(provider=NAME)))
    assert isinstance(plan.operation, Separation)
    assert (plan.operation.model, plan.operation.format) == ("two-stems", "flac16")
    assert plan.stems == ("vocals", "instrumental")
    assert plan.notes == ()
    assert service.log == []


@pytest.mark.parametrize(
    ("rest", "wish", "kind", "words"),
    [
        ({"secret_key": Secret("")}, {}, RefusedError, "stembridge login mediax"),
        ({"content_id": ""}, {}, SettingsError, "content_id is not set.*tmpContentId"),
        ({"destination": "a/../b"}, {}, SettingsError, "destination"),
        ({"destination": "a\nb"}, {}, SettingsError, "destination"),
        ({}, {"model": "six-stems"}, UsageError, "two-stems, four-stems, five-stems"),
        ({}, {"options": {"codec": "flac"}}, UsageError, "unknown option 'codec'"),
    ],
    ids=["keys", "content id", "climbing", "line end", "model", "option"],
)
def test_plan_refuses_before_anything_is_sent(
    service: MediaxSimulator,
    song: Source,
    rest: dict[str, Any],
    wish: dict[str, Any],
    kind: type[StembridgeError],
    words: str,
) -> None:
    with pytest.raises(kind, match=words) as caught:
        allow(run(separator_for(service, **rest).plan(song, Separation(provider=NAME, **wish))))
    assert str(caught.value).isprintable()
    assert service.log == []


def test_the_service_is_asked_as_its_documentation_says(service: MediaxSimulator, order: Order) -> None:
    run(separator_for(service).submit(order, silent))
    sent = json.loads(service.requests("POST", "/job")[0].body)["createJobRequest"]
    assert sent["customId"] == KEY
    assert sent["outputs"] == [
        {
            "inputSelectors": [0],
            "contentId": CONTENT_ID,
            "destination": PLACE.folder,
            "smartContentDescriptor": {"outputPrefix": PLACE.prefix, "musicSeperate": {"method": 2}},
        }
    ]


@pytest.mark.parametrize(
    "variant",
    [
        *({"form": form} for form in FORMS),
        *({"names": names} for names in NAMES),
        *({"tones": tones} for tones in TONES),
        {"names": "bare", "tones": "missing", "form": "nested"},
    ],
    ids=lambda variant: " ".join(variant.values()),
)
def test_every_variant_gives_all_stems_and_leaves_nothing(
    service: MediaxSimulator, shelf: Shelf, order: Order, variant: dict[str, str]
) -> None:
    for name, text in variant.items():
        setattr(service.stems, name, text)
    separator = separator_for(service)
    order = follow(separator, order)
    parts = run(separator.fetch(order, silent))
    assert stems_of(parts) == ["vocals", "drums", "bass", "other"]
    assert_sums_to(order.source, list(parts))
    assert service.stems.signature.encode() not in to_json([order.results, order.ticket])
    run(separator.release(order))
    assert set(shelf.objects) == {"song.wav"}


@pytest.mark.parametrize(
    ("model", "stems"),
    [("two-stems", ["vocals", "instrumental"]), ("five-stems", ["vocals", "drums", "bass", "piano", "other"])],
)
def test_other_methods_give_other_stems(service: MediaxSimulator, order: Order, model: str, stems: list[str]) -> None:
    separator = separator_for(service)
    wish = Separation(provider=NAME, model=model)
    order = follow(separator, msgspec.structs.replace(order, operation=wish))
    assert stems_of(run(separator.fetch(order, silent))) == stems


def test_a_bare_name_is_not_taken_for_a_file_of_the_users(service: MediaxSimulator, shelf: Shelf, order: Order) -> None:
    shelf.objects["vocals.wav"] = Blob.of(b"the user's own")
    service.stems.names = "unprefixed"
    separator = separator_for(service)
    order = follow(separator, order)
    assert_sums_to(order.source, list(run(separator.fetch(order, silent))))
    run(separator.release(order))
    assert set(shelf.objects) == {"song.wav", "vocals.wav"}


def test_a_users_file_that_the_service_names_is_never_removed(
    service: MediaxSimulator, shelf: Shelf, order: Order
) -> None:
    shelf.objects["master/precious.wav"] = shelf.objects["song.wav"]
    service.stems.extra = [{"fileName": "master/precious.wav", "tone": 4}]
    separator = separator_for(service)
    order = follow(separator, order)
    assert stems_of(run(separator.fetch(order, silent))) == ["vocals", "drums", "bass", "other", "piano"]
    run(separator.release(order))
    assert set(shelf.objects) == {"song.wav", "master/precious.wav"}


def test_two_stems_of_one_name_are_both_fetched(service: MediaxSimulator, shelf: Shelf, order: Order) -> None:
    shelf.objects[f"{PLACE.folder}/{PLACE.prefix}_more.wav"] = shelf.objects["song.wav"]
    service.stems.extra = [{"fileName": f"{PLACE.prefix}_more.wav", "tone": 1}]
    separator = separator_for(service)
    parts = run(separator.fetch(follow(separator, order), silent))
    assert stems_of(parts) == ["vocals", "drums", "bass", "other", "vocals-2"]
    assert len({part.path for part in parts}) == 5


def test_what_is_there_is_not_fetched_again(service: MediaxSimulator, shelf: Shelf, order: Order) -> None:
    separator = separator_for(service)
    order = follow(separator, order)
    first = run(separator.fetch(order, silent))
    shelf.server.log.clear()
    assert run(separator_for(service).fetch(order, silent)) == first
    assert shelf.server.log == []


def test_one_stem_that_is_gone_costs_itself_alone_once_it_was_looked_for(
    service: MediaxSimulator, order: Order
) -> None:
    service.stems.lost = {"drums"}
    separator = separator_for(service)
    order = follow(separator, order)
    what = r"_drums\.wav as drums, which is not in the bucket of shelf"
    for _ in range(LOOKS - 1):
        with pytest.raises(TransientError, match=what):
            run(separator.fetch(order, silent))
    assert stems_of(run(separator.fetch(order, silent))) == ["vocals", "bass", "other"]
    assert "drums: made by the service, and not to be had" in order.note[TOLD]


def test_another_bucket_than_the_registered_one_does_not_cost_the_paid_stems(
    service: MediaxSimulator, order: Order
) -> None:
    elsewhere: dict[str, Blob] = {}
    service.stems.put = elsewhere.__setitem__
    separator = separator_for(service)
    with pytest.raises(SettingsError, match="bucket_stager"):
        run(separator.fetch(follow(separator, order), silent))
    assert len(elsewhere) == 4


@pytest.mark.parametrize("address", ["http://songs.example/a.wav", "ftp://songs.example/a.wav", "file:///etc/passwd"])
def test_an_address_that_is_not_https_is_not_opened(service: MediaxSimulator, order: Order, address: str) -> None:
    separator = separator_for(service)
    order = follow(separator, order)
    service.jobs[order.ticket.remote_id if order.ticket else ""].results = [{"fileName": address, "tone": 1}]
    file = RemoteFile(label="vocals", stem="vocals", name="a.wav", url=address)
    with pytest.raises(ServiceError, match=r"not encrypted|no address"):
        run(separator.fetch(msgspec.structs.replace(order, results=(file,)), silent))


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/a.wav", "https://localhost/a.wav"])
def test_an_answer_does_not_lead_into_this_machine(service: MediaxSimulator, address: str) -> None:
    client = MediaxClient(settings_for(service, base_url="https://api.mediax.example"))
    with pytest.raises(ServiceError, match="points into this machine"):
        client.resolve(address)


def test_a_climbing_name_fails_the_job(service: MediaxSimulator, order: Order) -> None:
    service.stems.extra = [{"fileName": "../../.ssh/id_rsa", "tone": 1}]
    with pytest.raises(ServiceError, match="no object's name"):
        follow(separator_for(service), order)


@pytest.mark.parametrize(("state", "words"), [(4, "write to the bucket"), (5, "was cancelled")])
def test_a_bad_end_has_the_services_words(service: MediaxSimulator, order: Order, state: int, words: str) -> None:
    service.walk = (1, state)
    with pytest.raises(ServiceError, match=words):
        follow(separator_for(service), order)


def test_a_lost_job_is_found_with_its_place(service: MediaxSimulator, order: Order) -> None:
    service.faults.add(faults.reset_after("POST", "/job"))
    separator = separator_for(service, destination="a/b")
    with pytest.raises(StembridgeError):
        run(separator.submit(order, silent))
    # The setting may be another one by the time the job is looked for.
    later = separator_for(service)
    ticket = run(later.find(order))
    assert ticket is not None
    order = msgspec.structs.replace(order, ticket=ticket)
    while isinstance(answer := run(later.poll(order, silent)), Waiting):
        pass
    assert isinstance(answer, Finished)
    assert len(run(later.fetch(msgspec.structs.replace(order, results=answer.files), silent))) == 4
    assert service.created == 1


def test_what_a_job_leaves_that_nobody_followed_is_removed(
    service: MediaxSimulator, shelf: Shelf, order: Order
) -> None:
    separator = separator_for(service)
    order = msgspec.structs.replace(order, ticket=run(separator.submit(order, silent)))
    for _ in range(2):
        with pytest.raises(TransientError, match="still runs"):
            run(separator.release(order))
    shelf.refusal = RefusedError("not listed")
    run(separator.release(order))
    assert service.jobs[order.ticket.remote_id if order.ticket else ""].results is not None
    assert set(shelf.objects) == {"song.wav"}


@pytest.mark.parametrize("ticket", [None, Ticket(remote_id="gone")], ids=["never made", "forgotten"])
def test_what_is_there_of_a_job_the_service_does_not_know_is_removed(
    service: MediaxSimulator, shelf: Shelf, order: Order, ticket: Ticket | None
) -> None:
    shelf.objects[f"{PLACE.folder}/{PLACE.prefix}_vocals.wav"] = Blob.of(b"x")
    run(separator_for(service).release(msgspec.structs.replace(order, ticket=ticket)))
    assert set(shelf.objects) == {"song.wav"}


def test_nothing_is_removed_when_the_setting_says_so(service: MediaxSimulator, shelf: Shelf, order: Order) -> None:
    separator = separator_for(service, cleanup=False)
    order = follow(separator, order)
    run(separator.release(order))
    assert len(shelf.objects) == 5


def test_without_a_bucket_nothing_is_fetched(service: MediaxSimulator, order: Order) -> None:
    separator = separator_for(service)
    with pytest.raises(UsageError, match="no bucket"):
        run(separator.fetch(msgspec.structs.replace(follow(separator, order), bucket=None), silent))


def test_a_tagging_is_no_separation(service: MediaxSimulator) -> None:
    assert tagger_for(service).account() == separator_for(service).account()
    assert tagger_for(service).name != separator_for(service).name


def test_what_the_service_clips_is_said_before(service: MediaxSimulator, tmp_path: Path) -> None:
    loud = inspect(write_samples(tmp_path / "Loud.wav", make_song(1.0) * 4, subtype="FLOAT"))
    plan = run(separator_for(service).plan(loud, Separation(provider=NAME)))
    assert plan.notes == ("what lies over full scale comes back clipped: MediaX writes no floats",)
