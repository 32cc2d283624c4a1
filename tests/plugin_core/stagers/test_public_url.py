from __future__ import annotations

import asyncio
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from plugin_core.errors import PlacementError, SettingsError, SourceError, TransientError
from plugin_core.model import Verdict
from plugin_core.protocols import Stager
from plugin_core.stagers.public_url import PublicUrlSettings, PublicUrlStager

KEY = "01890000-0000-7000-8000-000000000001"
BASE = "https://files.example.org/shared"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shown").mkdir()
    return tmp_path / "shown"


@pytest.fixture
def stager(folder: Path) -> PublicUrlStager:
    return PublicUrlStager(PublicUrlSettings(base_url=f"{BASE}/", folder=folder))


def local(url: str, folder: Path) -> Path:
    """Return the file that a web server would show at an address."""
    assert url.startswith(f"{BASE}/")
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + unquote_to_bytes(urlsplit(url).path)[len("/shared/") :]))


@pytest.mark.parametrize("mode", [0o644, 0o600], ids=["readable-by-all", "private"])
def test_a_file_from_elsewhere_is_shown_and_removed_by_another_process(
    stager: PublicUrlStager, folder: Path, tmp_path: Path, mode: int
) -> None:
    song = tmp_path / "Größe & Maß.flac"
    song.write_bytes(b"song")
    song.chmod(mode)
    assert isinstance(stager, Stager)
    url = asyncio.run(stager.stage(song, KEY))
    assert asyncio.run(stager.stage(song, KEY)) == url
    assert url.endswith(f"/{KEY}-Groe-Ma.flac")
    assert local(url, folder).read_bytes() == b"song"
    assert local(url, folder).stat().st_mode & 0o004
    assert len(list(folder.rglob("*.flac"))) == len(list(folder.rglob("*.*"))) == 1
    later = PublicUrlStager(PublicUrlSettings(base_url=BASE, folder=folder))
    asyncio.run(later.unstage(KEY))
    asyncio.run(later.unstage(KEY))
    assert list(folder.iterdir()) == []
    assert song.read_bytes() == b"song"
    assert song.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    "name", [b"a b#?.flac", "音乐/周.flac".encode(), b"\xff\xfe.flac"], ids=["odd", "deep", "bytes"]
)
def test_a_file_inside_stays_where_it_is(stager: PublicUrlStager, folder: Path, name: bytes) -> None:
    song = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
    song.parent.mkdir(exist_ok=True)
    song.write_bytes(b"song")
    url = asyncio.run(stager.stage(song, KEY))
    assert url.isascii()
    assert local(url, folder) == song
    asyncio.run(stager.unstage(KEY))
    assert song.read_bytes() == b"song"


def test_only_its_own_folders_are_removed(stager: PublicUrlStager, folder: Path) -> None:
    (folder / KEY).mkdir()
    asyncio.run(stager.unstage(KEY))
    assert (folder / KEY).is_dir()


def test_what_cannot_be_done_is_one_line(stager: PublicUrlStager, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.flac cannot be read"):
        asyncio.run(stager.stage(tmp_path / "absent.flac", KEY))
    song = tmp_path / "song.flac"
    song.write_bytes(b"song")
    (folder / f"stembridge-{KEY}").rmdir()
    (folder / f"stembridge-{KEY}").write_bytes(b"in the way")
    with pytest.raises(PlacementError, match="cannot be written"):
        asyncio.run(stager.stage(song, KEY))
    (folder / f"stembridge-{KEY}").unlink()
    folder.rmdir()
    with pytest.raises(TransientError, match="is no folder"):
        asyncio.run(stager.stage(song, KEY))


@pytest.mark.parametrize("url", ["", "files.example.org", "ftp://x/y", "https://x/?a"])
def test_an_address_that_is_none_is_refused(url: str, folder: Path) -> None:
    with pytest.raises(SettingsError, match="base_url"):
        PublicUrlStager(PublicUrlSettings(base_url=url, folder=folder))


@pytest.mark.parametrize("settings", [{}, {"folder": Path("shown")}], ids=["none", "relative"])
def test_a_folder_that_depends_on_where_one_stands_is_refused(settings: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match="folder"):
        PublicUrlStager(PublicUrlSettings(base_url=BASE, **settings))


def test_what_a_symbolic_link_leads_to_is_shown(stager: PublicUrlStager, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_bytes(b"song")
    (tmp_path / "link.mp3").symlink_to("song.mp3")
    shown = local(asyncio.run(stager.stage(tmp_path / "link.mp3", KEY)), folder)
    assert shown.read_bytes() == b"song"
    assert not shown.is_symlink()


def test_doctor_tries_the_folder_and_leaves_nothing(stager: PublicUrlStager, folder: Path) -> None:
    (found,) = asyncio.run(stager.examine())
    assert found.verdict is Verdict.OK
    assert list(folder.iterdir()) == []
    folder.rmdir()
    (found,) = asyncio.run(stager.examine())
    assert found.verdict is Verdict.WRONG
    assert found.found.endswith("is no folder")
