"""Uploads measured and read, wherever in a file they lie."""

from __future__ import annotations

import io
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from tests.simulators.blobs import Blob

Signal = npt.NDArray[np.float64]


class NotAudioError(Exception):
    """An upload in which there is no audio."""


@dataclass(frozen=True)
class Sound:
    """What is known of an upload before it is decoded."""

    seconds: float
    channels: int
    sample_rate: int
    container: str
    subtype: str


def measure(content: Blob) -> Sound:
    """Return length and form of an upload.

    Raises:
        NotAudioError: there is no audio in it.
    """
    try:
        with _open(content) as file:
            seconds = file.frames / file.samplerate
            return Sound(seconds, file.channels, file.samplerate, file.format, file.subtype)
    except soundfile.LibsndfileError:
        return _probe(content)


def decode(content: Blob) -> tuple[Signal, int]:
    """Return all samples (frames, channels) and the sample rate.

    Raises:
        NotAudioError: there is no audio in it.
    """
    try:
        with _open(content) as file:
            return file.read(dtype="float64", always_2d=True), file.samplerate
    except soundfile.LibsndfileError:
        return _decode_with_ffmpeg(content)


def _open(content: Blob) -> soundfile.SoundFile:
    return soundfile.SoundFile(io.BytesIO(content.data) if content.path is None else _Stretch(content))


class _Stretch(io.RawIOBase):
    """A stretch of a file as a stream of its own."""

    def __init__(self, content: Blob) -> None:
        assert content.path is not None
        self._stream = content.path.open("rb")
        self._content = content
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._content.length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._content.length - self._at)
        self._stream.seek(self._content.offset + self._at)
        data = self._stream.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _probe(content: Blob) -> Sound:
    entries = "stream=channels,sample_rate,codec_name:format=duration,format_name"
    command = ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", entries, "-of", "json"]
    try:
        found = json.loads(_run(content, lambda path: [*command, str(path)]))
        stream, form = found["streams"][0], found["format"]
        seconds, rate = float(form["duration"]), int(stream["sample_rate"])
        return Sound(seconds, int(stream["channels"]), rate, form["format_name"], stream["codec_name"])
    except (LookupError, ValueError) as error:
        raise NotAudioError("no audio in it") from error


def _decode_with_ffmpeg(content: Blob) -> tuple[Signal, int]:
    wave = _run(content, lambda path: ["ffmpeg", "-v", "error", "-i", str(path), "-f", "wav", "-c:a", "pcm_f32le", "-"])
    try:
        samples, rate = soundfile.read(io.BytesIO(wave), dtype="float64", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise NotAudioError("no audio in it") from error
    return samples, rate


def _run(content: Blob, command: object) -> bytes:
    assert callable(command)
    with tempfile.TemporaryDirectory() as folder:
        path = content.save(Path(folder) / "upload")
        try:
            return subprocess.run(command(path), capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            raise NotAudioError(str(error)) from error
