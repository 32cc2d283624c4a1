from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import ServiceError, SpoiltFileError, StembridgeError, TransientError, UsageError
from plugin_core.files.locks import take_lock
from plugin_core.providers.neural.fetching import fetch_files
from plugin_core.providers.neural.library import Library
from plugin_core.providers.neural.networks import NeuralModel, WeightFile
from tests.plugin_core.providers.neural.conftest import make_model
from tests.plugin_core.transfer.box import BoxSimulator, Waits
from tests.simulators.faults import Fault, html_page, refuse, server_error, truncate, wrong_length

ONE, TWO = (random.Random(seed).randbytes(300_000) for seed in (1, 2))


@pytest.fixture
def box() -> Iterator[BoxSimulator]:
    with BoxSimulator() as service:
        service.contents = {"one.pth": ONE, "two.pth": TWO}
        yield service


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "models", others=())


def published(box: BoxSimulator, name: str, content: bytes, **changes: object) -> WeightFile:
    file = WeightFile(
        name=name,
        stem=name.partition(".")[0],
        addresses=(f"{box.url}/data/{name}",),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        md5=hashlib.md5(content).hexdigest(),
    )
    return msgspec.structs.replace(file, **changes)


def fetch(library: Library, model: NeuralModel, told: list[tuple[int, int | None]] | None = None) -> list[Path]:
    async def go() -> list[Path]:
        async with Waits().transfer() as transfer:
            tell = lambda there, total: told.append((there, total)) if told is not None else None  # noqa: E731
            return await fetch_files(library, model, model.files, transfer, tell)

    return asyncio.run(go())


def kept(library: Library) -> set[str]:
    return {path.name for path in library.folder.iterdir()} - {".fetching", "digests.json"}


def test_what_is_fetched_is_kept_and_asked_for_once(box: BoxSimulator, library: Library) -> None:
    model = make_model((published(box, "one.pth", ONE), published(box, "two.pth", TWO)))
    told: list[tuple[int, int | None]] = []
    paths = fetch(library, model, told)
    assert [path.read_bytes() for path in paths] == [ONE, TWO]
    assert kept(library) == {"one.pth", "two.pth"}
    assert told[-1] == (600_000, 600_000) and [there for there, _ in told] == sorted(there for there, _ in told)
    asked = len(box.log)
    assert fetch(library, model) == paths
    paths[0].touch()  # so that it has to be read again
    assert fetch(Library(library.folder, others=()), model) == paths
    assert len(box.log) == asked == 2


def test_a_digest_that_is_known_in_part_is_completed_and_held_to(box: BoxSimulator, library: Library) -> None:
    file = published(box, "one.pth", ONE, md5="", sha256=hashlib.sha256(ONE).hexdigest()[:8])
    (path,) = fetch(library, make_model((file,)))
    (weights,) = library.weights((file,)) or ()
    assert weights.file.sha256 == hashlib.sha256(ONE).hexdigest()
    path.write_bytes(TWO)
    assert library.find(file) is None
    # Another file with the same beginning of its digest would not do any more.
    notes = library._read_notes()
    notes.learnt["one.pth"] = "0" * 64
    library._notes_path.write_bytes(msgspec.json.encode(notes))
    path.write_bytes(ONE)
    assert library.find(file) is None


def test_a_cut_download_goes_on_also_after_this_process(box: BoxSimulator, library: Library) -> None:
    model = make_model((published(box, "one.pth", ONE),))
    box.faults.add(truncate("GET", "/data/*", at=100_000))
    box.faults.add(server_error("GET", "/data/*", times=4))
    with pytest.raises(TransientError, match=r"HTTP 500.*--model-file FILE"):
        fetch(library, model)
    assert not (library.folder / "one.pth").exists()
    assert [path.read_bytes() for path in fetch(library, model)] == [ONE]
    assert box.log[-1].headers.get("range") == "bytes=100000-"
    assert kept(library) == {"one.pth"}


def lie(box: BoxSimulator) -> None:
    box.contents["one.pth"] = ONE + b"more"


def cut(box: BoxSimulator) -> None:
    box.contents["one.pth"] = ONE[:-1]


def swap(box: BoxSimulator) -> None:
    box.contents["one.pth"] = TWO


def arm(fault: Fault) -> Callable[[BoxSimulator], None]:
    def do(box: BoxSimulator) -> None:
        box.faults.add(fault)

    return do


HOSTILE = {
    "longer": (lie, ServiceError, "larger than 300000 bytes"),
    "a longer one than it sends": (arm(wrong_length("GET", "/data/*", at=1_000)), ServiceError, "larger than 300000"),
    "a shorter one than it sends": (
        arm(wrong_length("GET", "/data/*", at=-1_000, times=None)),
        SpoiltFileError,
        "299000 bytes, but 300000 were announced",
    ),
    "shorter": (cut, SpoiltFileError, "299999 bytes, but 300000 were announced"),
    "another file": (swap, SpoiltFileError, "digest"),
    "a web page": (arm(html_page("GET", "/data/*", times=None)), SpoiltFileError, "a web page instead"),
    "gone": (arm(refuse("GET", "/data/*", 404, times=None)), ServiceError, "the file is gone"),
    "forbidden": (arm(refuse("GET", "/data/*", 403, times=None)), ServiceError, "HTTP 403"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_what_is_not_the_file_is_not_kept(box: BoxSimulator, library: Library, how: str) -> None:
    spoil, kind, words = HOSTILE[how]
    spoil(box)
    with pytest.raises(StembridgeError, match=words) as caught:
        fetch(library, make_model((published(box, "one.pth", ONE),)))
    assert isinstance(caught.value, kind)
    assert "\n" not in str(caught.value) and "stembridge models fetch small --model-file FILE" in caught.value.remedy
    assert kept(library) == set()


def test_a_wrong_digest_is_seen_where_only_the_long_one_is_published(box: BoxSimulator, library: Library) -> None:
    box.contents["one.pth"] = TWO
    with pytest.raises(SpoiltFileError, match=r"one\.pth: its digest [0-9a-f]{16}\.\.\. is not the published one"):
        fetch(library, make_model((published(box, "one.pth", ONE, md5=""),)))
    assert kept(library) == set()


def test_a_second_place_has_it(box: BoxSimulator, library: Library) -> None:
    file = published(box, "one.pth", ONE, addresses=(f"{box.url}/data/nowhere", f"{box.url}/data/one.pth"))
    assert [path.read_bytes() for path in fetch(library, make_model((file,)))] == [ONE]
    assert [entry.status for entry in box.log] == [404, 200]


def test_what_nobody_vouches_for_is_not_fetched(box: BoxSimulator, library: Library) -> None:
    for changes in ({"sha256": ""}, {"bytes": 0}, {"addresses": ()}):
        with pytest.raises(UsageError, match=r"one\.pth is not fetched.*example.org/small.*--model-file FILE"):
            fetch(library, make_model((published(box, "one.pth", ONE, **changes),)))
    assert box.log == []


def test_two_do_not_fetch_at_the_same_time(box: BoxSimulator, library: Library) -> None:
    library.room()
    with (library.folder / ".fetching").open("wb") as lock:
        take_lock(lock.fileno())
        with pytest.raises(TransientError, match="another process fetches"):
            fetch(library, make_model((published(box, "one.pth", ONE),)))
    assert box.log == []


def test_a_full_disk_is_said_before(box: BoxSimulator, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=64 << 20))
    with pytest.raises(TransientError, match="has no room for 0 MB; make room"):
        fetch(library, make_model((published(box, "one.pth", ONE),)))
    assert box.log == []
