from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_core.audio.probe import probe
from plugin_core.audio.reader import Dtype, Reader, open_reader
from plugin_core.audio.samples import Samples
from plugin_core.audio.source_file import Identity
from plugin_core.audio.upload import Upload, prepare_upload
from plugin_core.errors import SourceError
from tests.audio_files import make_song, write_song
from tests.plugin_core.audio.library import tell_flac


def prepare(folder: Path, song: Path, said: list[float] | None = None) -> Upload:
    folder.mkdir(exist_ok=True)
    heard: list[float] = [] if said is None else said
    return asyncio.run(prepare_upload(song, folder, "attempt-1", heard.append))


@pytest.mark.parametrize(
    ("suffix", "subtype", "encoding"),
    [
        (".wav", "PCM_16", "pcm_16"),
        (".wav", "PCM_U8", "pcm_16"),
        (".wav", "PCM_24", "pcm_24"),
        (".aiff", "PCM_24", "pcm_24"),
        (".wav", "PCM_32", "pcm_24"),
        (".wav", "FLOAT", "pcm_24"),
        (".ogg", "VORBIS", "pcm_16"),
    ],
)
def test_becomes_flac_of_its_depth(tmp_path: Path, suffix: str, subtype: str, encoding: str) -> None:
    song = write_song(tmp_path / f"Song{suffix}", 0.5, subtype=subtype)
    upload = prepare(tmp_path / "staging", song)
    info, source = probe(upload.path), probe(song)
    assert (upload.suffix, upload.note, upload.is_own) == (".flac", "", True)
    assert (info.container, info.encoding) == ("FLAC", encoding)
    assert (info.frames, info.sample_rate, info.channels) == (source.frames, source.sample_rate, source.channels)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_samples_are_kept(tmp_path: Path, subtype: str) -> None:
    song = write_song(tmp_path / "Song.wav", 0.5, subtype=subtype)
    upload = prepare(tmp_path / "staging", song)
    assert np.array_equal(soundfile.read(song, dtype="int32")[0], soundfile.read(upload.path, dtype="int32")[0])


def test_flac_is_sent_as_it_is(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.flac", 0.5, subtype="PCM_24")
    upload = prepare(tmp_path / "staging", song)
    assert (upload.path, upload.suffix, upload.is_own) == (song, ".flac", False)
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize("told", [0, 22_050])
def test_flac_whose_header_counts_too_few_samples_is_encoded_again(tmp_path: Path, told: int) -> None:
    song = write_song(tmp_path / "Song.flac", 10.0)
    whole = soundfile.read(song, dtype="int32")[0]
    data = bytearray(song.read_bytes())
    tell_flac(data, told)
    song.write_bytes(data)

    upload = prepare(tmp_path / "staging", song)

    assert upload.is_own
    assert np.array_equal(soundfile.read(upload.path, dtype="int32")[0], whole)


def test_flac_with_a_foreign_tag_before_it_is_encoded_again(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.flac", 0.5)
    song.write_bytes(b"ID3\x03\0\0\0\0\0\0" + song.read_bytes())
    upload = prepare(tmp_path / "staging", song)
    assert upload.is_own
    assert upload.path.read_bytes().startswith(b"fLaC")


def test_floats_beyond_full_scale_are_not_clipped(tmp_path: Path) -> None:
    samples = make_song(0.5) * 4
    song = tmp_path / "Song.wav"
    soundfile.write(song, samples, 44100, subtype="FLOAT")
    upload = prepare(tmp_path / "staging", song)
    sent, _ = soundfile.read(upload.path, dtype="float32")
    assert (upload.suffix, probe(upload.path).encoding) == (".wav", "float")
    assert "full scale" in upload.note
    assert np.array_equal(sent, samples.astype(np.float32))
    assert np.abs(sent).max() > 1
    assert [path.name for path in (tmp_path / "staging").iterdir()] == ["upload.wav"]


def test_rate_that_flac_cannot_say(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.wav", 0.2, 88_203, subtype="PCM_24")
    upload = prepare(tmp_path / "staging", song)
    assert (upload.suffix, probe(upload.path).encoding, probe(upload.path).sample_rate) == (".wav", "pcm_24", 88_203)


def test_finished_file_is_taken_again(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.wav", 0.5)
    first = prepare(tmp_path / "staging", song)
    before = first.path.stat()
    assert prepare(tmp_path / "staging", song).path == first.path
    assert first.path.stat().st_mtime_ns == before.st_mtime_ns


def test_half_a_file_of_a_dead_process_is_not_taken(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.wav", 0.5)
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "attempt-0.upload.flac").write_bytes(b"fLaC")
    assert probe(prepare(tmp_path / "staging", song).path).frames == probe(song).frames


def test_progress(tmp_path: Path) -> None:
    said: list[float] = []
    prepare(tmp_path / "staging", write_song(tmp_path / "Song.wav", 5.0), said)
    assert said == sorted(said)
    assert len(said) > 2
    assert said[-1] == 1.0


def test_damaged_source(tmp_path: Path) -> None:
    song = tmp_path / "Song.wav"
    song.write_bytes(b"RIFF....")
    with pytest.raises(SourceError, match=r"Song\.wav"):
        prepare(tmp_path / "staging", song)


def test_cancelled_work_writes_nothing_more(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.wav", 15.0)
    folder = tmp_path / "staging"
    folder.mkdir()

    async def run() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(prepare_upload(song, folder, "attempt-1", lambda _share: begun.set()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(folder.iterdir()) == []

    asyncio.run(run())


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell of every write")
def test_flac_that_was_read_whole_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Identity, "is_settled", lambda *_: True)
    song = write_song(tmp_path / "Song.flac", 3.0)
    reads: list[int] = []
    read = Reader.read

    def count(reader: Reader, frames: int, dtype: Dtype = "float32") -> Samples:
        reads.append(frames)
        return read(reader, frames, dtype)

    monkeypatch.setattr(Reader, "read", count)
    with open_reader(song) as reader:
        reader.read(1000)
    prepare(tmp_path / "staging", song)
    heard = len(reads)
    assert heard > 2
    prepare(tmp_path / "staging", song)
    assert len(reads) == heard
    # A byte of sound and the times put back: only ctime tells.
    before = song.stat()
    with song.open("r+b") as opened:
        opened.seek(before.st_size // 2)
        opened.write(bytes(40))
    os.utime(song, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(SourceError, match="damaged"):
        prepare(tmp_path / "staging", song)
