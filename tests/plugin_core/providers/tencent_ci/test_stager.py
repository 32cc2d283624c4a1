from __future__ import annotations

import asyncio
import hashlib
import os
import urllib.request
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from plugin_core.errors import RefusedError, TransientError
from plugin_core.protocols import Bucket, Stager
from plugin_core.providers.tencent_ci.multipart import hash_part
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.providers.tencent_ci.stager import CosStager
from plugin_core.settings import Secret
from tests.plugin_core.providers.tencent_ci.conftest import KEY, transfer
from tests.simulators.blobs import Blob
from tests.simulators.faults import bad_gateway
from tests.simulators.tencent import TencentSimulator


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Größe & Maß.flac"
    path.write_bytes(b"fLaC song")
    return path


def test_a_staged_file_is_read_by_link_and_removed_by_another_process(
    cloud: TencentSimulator, settings: TencentSettings, file: Path, tmp_path: Path
) -> None:
    stager = CosStager(settings, tmp_path / "home", transfer=transfer())
    assert isinstance(stager, Stager)
    url = asyncio.run(stager.stage(file, KEY))
    assert isinstance(url, Secret)
    name = urlsplit(url.reveal()).path.rpartition("/")[2]
    assert name == f"{KEY}-Groe-Ma.flac"
    with urllib.request.urlopen(url.reveal()) as answer:
        assert answer.read() == b"fLaC song"
    later = CosStager(settings, tmp_path / "home", transfer=transfer())
    asyncio.run(later.unstage(KEY))
    asyncio.run(later.unstage(KEY))
    assert cloud.store.objects == {}


def test_any_object_of_the_bucket_is_linked_found_and_removed(
    cloud: TencentSimulator, settings: TencentSettings, tmp_path: Path
) -> None:
    for key in ("stems/a b.wav", "stems/ü.wav", "other/c.wav"):
        cloud.store.put(key, Blob.of(key.encode()))
    stager = CosStager(settings, tmp_path, transfer=transfer())
    assert isinstance(stager, Bucket)
    assert sorted(asyncio.run(stager.find("stems/"))) == ["stems/a b.wav", "stems/ü.wav"]
    for key in ("stems/a b.wav", "stems/ü.wav"):
        link = asyncio.run(stager.link(key))
        assert isinstance(link, Secret)
        with urllib.request.urlopen(link.reveal()) as answer:
            assert answer.read() == key.encode()
        for _ in range(2):
            asyncio.run(stager.remove(key))
    assert asyncio.run(stager.link("stems/a b.wav")) is None
    assert set(cloud.store.objects) == {"other/c.wav"}


def test_a_refused_link_is_no_absent_object(cloud: TencentSimulator, settings: TencentSettings, tmp_path: Path) -> None:
    cloud.denied |= {"HEAD /stems/a.wav", "GET /stems/a.wav"}
    with pytest.raises(RefusedError):
        asyncio.run(CosStager(settings, tmp_path, transfer=transfer()).link("stems/a.wav"))


def test_a_lost_home_does_not_keep_files_there(
    cloud: TencentSimulator, settings: TencentSettings, file: Path, tmp_path: Path
) -> None:
    asyncio.run(CosStager(settings, tmp_path / "home", transfer=transfer()).stage(file, KEY))
    asyncio.run(CosStager(settings, tmp_path / "other", transfer=transfer()).unstage(KEY))
    assert cloud.store.objects == {}


def test_it_needs_no_right_to_list(
    cloud: TencentSimulator, settings: TencentSettings, file: Path, tmp_path: Path
) -> None:
    cloud.denied.add("GET /")
    stager = CosStager(settings, tmp_path, transfer=transfer())
    asyncio.run(stager.stage(file, KEY))
    asyncio.run(stager.unstage(KEY))
    assert cloud.store.objects == {}


def test_what_cannot_be_removed_now_is_not_forgotten(
    cloud: TencentSimulator, settings: TencentSettings, file: Path, tmp_path: Path
) -> None:
    stager = CosStager(settings, tmp_path, transfer=transfer())
    asyncio.run(stager.stage(file, KEY))
    cloud.faults.add(bad_gateway("DELETE", times=None))
    with pytest.raises(TransientError):
        asyncio.run(stager.unstage(KEY))
    cloud.faults.clear()
    asyncio.run(stager.unstage(KEY))
    assert cloud.store.objects == {}


def test_other_jobs_keep_theirs(cloud: TencentSimulator, settings: TencentSettings, file: Path, tmp_path: Path) -> None:
    stager = CosStager(settings, tmp_path, transfer=transfer())
    for key in (KEY, f"{KEY}0"):
        asyncio.run(stager.stage(file, key))
    asyncio.run(stager.unstage(KEY))
    assert [key.split("/")[2] for key in cloud.store.objects] == [f"{KEY}0"]


@pytest.mark.parametrize("what", ["same", "other", "absent", "outside"])
def test_a_song_that_the_bucket_has_is_not_uploaded_again_and_never_removed(
    cloud: TencentSimulator, settings: TencentSettings, file: Path, tmp_path: Path, what: str
) -> None:
    content = {"same": b"fLaC song", "other": b"fLaC sonG"}.get(what, b"")
    if what != "absent":
        cloud.store.put(f"my music/{file.name}", Blob.of(content))
    library = tmp_path / "elsewhere" if what == "outside" else tmp_path
    mine = msgspec.structs.replace(settings, library=library, library_prefix="my music/")
    stager = CosStager(mine, tmp_path / "home", transfer=transfer())
    before = set(cloud.store.objects)
    url = Secret(asyncio.run(stager.stage(file, KEY)))
    with urllib.request.urlopen(url.reveal()) as answer:
        assert answer.read() == b"fLaC song"
    assert len(cloud.requests("PUT", "/*")) == (what != "same")
    asyncio.run(stager.unstage(KEY))
    assert set(cloud.store.objects) == before


def test_a_song_that_came_in_one_part_is_read_once_however_large_parts_may_be(
    cloud: TencentSimulator, settings: TencentSettings, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.store.put(file.name, Blob.of(file.read_bytes()))
    etag = f"{'0' * 32}-1"
    cloud.store.objects[file.name] = replace(cloud.store.objects[file.name], etag=etag)
    read: list[tuple[int, int]] = []

    def note(path: Path, offset: int, length: int) -> str:
        read.append((offset, length))
        return hash_part(path, offset, length)

    monkeypatch.setattr("plugin_core.providers.tencent_ci.stager.hash_part", note)
    stager = CosStager(msgspec.structs.replace(settings, library=tmp_path), tmp_path / "home", transfer=transfer())
    asyncio.run(stager.stage(file, KEY))
    assert read == [(0, file.stat().st_size)]


@pytest.mark.parametrize(("part", "is_known"), [(5 << 20, True), (3 << 20, False), (0, False)])
def test_a_song_that_came_in_parts_is_known_by_the_digests_of_usual_parts(
    cloud: TencentSimulator, settings: TencentSettings, tmp_path: Path, part: int, is_known: bool
) -> None:
    path = tmp_path / "Song.flac"
    path.write_bytes(os.urandom(7 << 20))
    digests = [
        hashlib.md5(path.read_bytes()[start : start + part]).digest() for start in range(0, 7 << 20, part or 1 << 23)
    ]
    blob = Blob.of(path.read_bytes())
    cloud.store.put(path.name, blob)
    stored = cloud.store.objects[path.name]
    etag = f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}" if part else "0" * 32
    cloud.store.objects[path.name] = replace(stored, etag=etag)
    stager = CosStager(msgspec.structs.replace(settings, library=tmp_path), tmp_path / "home", transfer=transfer())
    asyncio.run(stager.stage(path, KEY))
    assert (not cloud.requests("PUT", "/*")) is is_known
