from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import (
    PlacementError,
    ServiceError,
    SourceError,
    SpoiltFileError,
    StembridgeError,
    TransientError,
    UsageError,
)
from plugin_core.files.disk import take_lock
from plugin_core.providers.neural import library
from plugin_core.providers.neural.library import Digest, Library, fetch_files, foreign_folders, is_file, read_digest
from plugin_core.providers.neural.networks import NeuralModel, WeightFile
from tests.plugin_core.providers.neural.conftest import describe_file, make_model
from tests.plugin_core.transfer.box import BoxSimulator, Waits
from tests.simulators.faults import Fault, html_page, refuse, server_error, truncate, wrong_length


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    folder = tmp_path / "UVR" / "MDX_Net_Models"
    folder.mkdir(parents=True)
    return folder


def test_what_another_programme_has_is_used_in_place_whatever_its_name(tmp_path: Path, foreign: Path) -> None:
    (foreign / "renamed.onnx").write_bytes(b"weights" * 1_000)
    (foreign / "Kim_Vocal_2.onnx").write_bytes(b"strange" * 1_000)
    (foreign / "folder").mkdir()
    file = describe_file(foreign / "renamed.onnx", "vocals", name="Kim_Vocal_2.onnx")
    before = sorted(path.name for path in foreign.iterdir())
    own = Library(tmp_path / "models", others=(tmp_path / "nowhere", foreign))
    assert own.find(file) == foreign / "renamed.onnx"
    assert sorted(path.name for path in foreign.iterdir()) == before
    (foreign / "renamed.onnx").write_bytes(b"changed" * 1_000)
    assert own.find(file) is None and own.weights((file,)) is None


def test_a_file_is_read_once_while_it_stays_as_it_is(
    tmp_path: Path, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = foreign / "one.onnx"
    path.write_bytes(b"weights" * 1_000)
    file = describe_file(path, "vocals")
    read: list[Path] = []

    def remember(path: Path) -> Digest:
        read.append(path)
        return read_digest(path)

    monkeypatch.setattr(library, "read_digest", remember)
    for _ in range(3):
        assert Library(tmp_path / "models", others=(foreign,)).find(file) == path
    assert read == [path]
    os.utime(path, ns=(1, 1))
    assert Library(tmp_path / "models", others=(foreign,)).find(file) == path
    assert read == [path, path]


def test_files_that_the_user_has_are_taken_by_their_bytes(
    tmp_path: Path, small: NeuralModel, models_folder: Path
) -> None:
    own = Library(tmp_path / "own", others=())
    download = tmp_path / "download (1).pth"
    (models_folder / "bass.pth").rename(download)
    assert own.take(small, download).name == "bass.pth"
    assert own.find(small.files[2]) == tmp_path / "own" / "bass.pth"
    assert download.exists()
    download.write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(UsageError, match=r"download \(1\)\.pth is no file of small: its 15 bytes.*has vocals\.pth"):
        own.take(small, download)
    with pytest.raises(SourceError, match=r"nowhere\.pth cannot be read"):
        own.take(small, tmp_path / "nowhere.pth")
    assert {path.name for path in (tmp_path / "own").iterdir()} == {"bass.pth", "digests.json"}


def test_where_other_programmes_keep_models(tmp_path: Path) -> None:
    windows = foreign_folders({"LOCALAPPDATA": "C:/L", "TORCH_HOME": "/torch"}, "win32", tmp_path)
    assert Path("C:/L/Programs/Ultimate Vocal Remover/models/MDX_Net_Models") in windows
    assert Path("/torch/hub/checkpoints") in windows
    mac = foreign_folders({"AUDIO_SEPARATOR_MODEL_DIR": "/mine"}, "darwin", tmp_path)
    assert Path("/Applications/Ultimate Vocal Remover.app/Contents/Resources/models/MDX_Net_Models") in mac
    assert Path("/mine") in mac and tmp_path / ".cache/torch/hub/checkpoints" in mac
    linux = foreign_folders({"XDG_CACHE_HOME": "/cache"}, "linux", tmp_path)
    checkout = tmp_path / "ultimatevocalremovergui/models/MDX_Net_Models"
    assert linux == (Path("/tmp/audio-separator-models"), checkout, Path("/cache/torch/hub/checkpoints"))
    for variable, hub in (
        ("HF_HUB_CACHE", "here"),
        ("HF_HOME", "there/hub"),
        ("XDG_CACHE_HOME", "cache/huggingface/hub"),
    ):
        snapshot = tmp_path / hub / "models--StemSplitio--htdemucs-onnx" / "snapshots" / "d54ed9"
        snapshot.mkdir(parents=True)
        value = str(tmp_path / hub.removesuffix("/huggingface/hub").removesuffix("/hub"))
        assert foreign_folders({variable: value}, "linux", tmp_path)[-1] == snapshot


def test_a_file_is_told_by_all_that_is_published_of_it(tmp_path: Path) -> None:
    (tmp_path / "one.pth").write_bytes(b"weights")
    file = describe_file(tmp_path / "one.pth", "vocals")
    digest, whole = read_digest(tmp_path / "one.pth"), file.sha256
    assert is_file(file, digest)
    assert is_file(msgspec.structs.replace(file, sha256=whole[:8]), digest)
    others = ({"sha256": whole[:-1] + "x"}, {"md5": "0" * 32, "sha256": whole[:8]}, {"bytes": 8})
    assert not any(is_file(msgspec.structs.replace(file, **other), digest) for other in others)
    assert not is_file(msgspec.structs.replace(file, sha256=whole[:8]), digest, whole[:8] + "0" * 56)


ONE, TWO = (random.Random(seed).randbytes(300_000) for seed in (1, 2))


@pytest.fixture
def box() -> Iterator[BoxSimulator]:
    with BoxSimulator() as service:
        service.contents = {"one.pth": ONE, "two.pth": TWO}
        yield service


@pytest.fixture
def own(tmp_path: Path) -> Library:
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


def fetch(own: Library, model: NeuralModel, told: list[tuple[int, int | None]] | None = None) -> list[Path]:
    async def go() -> list[Path]:
        async with Waits().transfer() as transfer:
            tell = lambda there, total: told.append((there, total)) if told is not None else None  # noqa: E731
            return await fetch_files(own, model, model.files, transfer, tell)

    return asyncio.run(go())


def kept(own: Library) -> set[str]:
    return {path.name for path in own.folder.iterdir()} - {".fetching", "digests.json"}


def test_what_is_fetched_is_kept_and_asked_for_once(box: BoxSimulator, own: Library) -> None:
    model = make_model((published(box, "one.pth", ONE), published(box, "two.pth", TWO)))
    told: list[tuple[int, int | None]] = []
    paths = fetch(own, model, told)
    assert [path.read_bytes() for path in paths] == [ONE, TWO]
    assert kept(own) == {"one.pth", "two.pth"}
    assert told[-1] == (600_000, 600_000) and [there for there, _ in told] == sorted(there for there, _ in told)
    asked = len(box.log)
    assert fetch(own, model) == paths
    paths[0].touch()  # so that it has to be read again
    assert fetch(Library(own.folder, others=()), model) == paths
    assert len(box.log) == asked == 2


def test_a_digest_that_is_known_in_part_is_completed_and_held_to(box: BoxSimulator, own: Library) -> None:
    file = published(box, "one.pth", ONE, md5="", sha256=hashlib.sha256(ONE).hexdigest()[:8])
    (path,) = fetch(own, make_model((file,)))
    (weights,) = own.weights((file,)) or ()
    assert weights.file.sha256 == hashlib.sha256(ONE).hexdigest()
    path.write_bytes(TWO)
    assert own.find(file) is None
    # Another file with the same beginning of its digest would not do any more.
    notes = own._read_notes()
    notes.learnt["one.pth"] = "0" * 64
    own._notes_path.write_bytes(msgspec.json.encode(notes))
    path.write_bytes(ONE)
    assert own.find(file) is None


def test_a_cut_download_goes_on_also_after_this_process(box: BoxSimulator, own: Library) -> None:
    model = make_model((published(box, "one.pth", ONE),))
    box.faults.add(truncate("GET", "/data/*", at=100_000))
    box.faults.add(server_error("GET", "/data/*", times=4))
    with pytest.raises(TransientError, match=r"HTTP 500.*--model-file FILE"):
        fetch(own, model)
    assert not (own.folder / "one.pth").exists()
    assert [path.read_bytes() for path in fetch(own, model)] == [ONE]
    assert box.log[-1].headers.get("range") == "bytes=100000-"
    assert kept(own) == {"one.pth"}


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
def test_what_is_not_the_file_is_not_kept(box: BoxSimulator, own: Library, how: str) -> None:
    spoil, kind, words = HOSTILE[how]
    spoil(box)
    with pytest.raises(StembridgeError, match=words) as caught:
        fetch(own, make_model((published(box, "one.pth", ONE),)))
    assert isinstance(caught.value, kind)
    assert "\n" not in str(caught.value) and "stembridge models fetch small --model-file FILE" in caught.value.remedy
    assert kept(own) == set()


def test_a_wrong_digest_is_seen_where_only_the_long_one_is_published(box: BoxSimulator, own: Library) -> None:
    box.contents["one.pth"] = TWO
    with pytest.raises(SpoiltFileError, match=r"one\.pth: its digest [0-9a-f]{16}\.\.\. is not the published one"):
        fetch(own, make_model((published(box, "one.pth", ONE, md5=""),)))
    assert kept(own) == set()


def test_a_second_place_has_it(box: BoxSimulator, own: Library) -> None:
    file = published(box, "one.pth", ONE, addresses=(f"{box.url}/data/nowhere", f"{box.url}/data/one.pth"))
    assert [path.read_bytes() for path in fetch(own, make_model((file,)))] == [ONE]
    assert [entry.status for entry in box.log] == [404, 200]


def test_two_do_not_fetch_at_the_same_time(box: BoxSimulator, own: Library) -> None:
    own.room()
    with (own.folder / ".fetching").open("wb") as lock:
        take_lock(lock.fileno())
        with pytest.raises(TransientError, match="another process fetches"):
            fetch(own, make_model((published(box, "one.pth", ONE),)))
    assert box.log == []


def test_a_full_disk_is_said_before(box: BoxSimulator, own: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=64 << 20))
    with pytest.raises(TransientError, match="has no room for 0 MB; make room"):
        fetch(own, make_model((published(box, "one.pth", ONE),)))
    assert box.log == []


def test_a_folder_that_cannot_be_written_is_named(box: BoxSimulator, own: Library) -> None:
    (own.folder / ".fetching").mkdir(parents=True)  # as root, who runs some tests, may write what is read-only
    with pytest.raises(PlacementError, match=re.escape(str(own.folder))):
        fetch(own, make_model((published(box, "one.pth", ONE),)))
    assert box.log == []
