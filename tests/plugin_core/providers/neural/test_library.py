from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import SourceError, UsageError
from plugin_core.providers.neural import library
from plugin_core.providers.neural.library import Digest, Library, foreign_folders, is_file, read_digest
from plugin_core.providers.neural.networks import NeuralModel
from tests.plugin_core.providers.neural.conftest import describe_file, make_model


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


def test_a_file_without_a_published_digest_is_taken_on_its_users_word_and_held_to(
    tmp_path: Path, small: NeuralModel, models_folder: Path
) -> None:
    file = msgspec.structs.replace(small.files[0], name="any.pth", stem="", sha256="", md5="", bytes=0)
    model = make_model((file,))
    own = Library(tmp_path / "own", others=(models_folder,))
    assert own.find(file) is None  # nobody has vouched for any
    own.take(model, models_folder / "drums.pth")
    assert own.find(file) == tmp_path / "own" / "any.pth"
    with pytest.raises(UsageError, match=r"song\.mp3 is no file of small"):
        (tmp_path / "song.mp3").write_bytes(b"music")
        own.take(model, tmp_path / "song.mp3")
    (tmp_path / "own" / "any.pth").write_bytes(b"other")
    assert own.find(file) is None


def test_where_other_programmes_keep_models(tmp_path: Path) -> None:
    windows = foreign_folders({"LOCALAPPDATA": "C:/L", "TORCH_HOME": "/torch"}, "win32", tmp_path)
    assert Path("C:/L/Programs/Ultimate Vocal Remover/models/MDX_Net_Models") in windows
    assert Path("/torch/hub/checkpoints") in windows
    mac = foreign_folders({"AUDIO_SEPARATOR_MODEL_DIR": "/mine"}, "darwin", tmp_path)
    assert Path("/Applications/Ultimate Vocal Remover.app/Contents/Resources/models/MDX_Net_Models") in mac
    assert Path("/mine") in mac and tmp_path / ".cache/torch/hub/checkpoints" in mac
    linux = foreign_folders({"XDG_CACHE_HOME": "/cache"}, "linux", tmp_path)
    assert linux == (Path("/tmp/audio-separator-models"), Path("/cache/torch/hub/checkpoints"))
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
    others = ({"sha256": whole[:-1] + "x"}, {"md5": "0" * 32, "sha256": whole[:8]}, {"bytes": 8}, {"sha256": ""})
    assert not any(is_file(msgspec.structs.replace(file, **other), digest) for other in others)
    assert not is_file(msgspec.structs.replace(file, sha256=whole[:8]), digest, whole[:8] + "0" * 56)
