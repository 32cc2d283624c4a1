"""The files a job ends with, computed when they are first asked for and kept for equal uploads."""

from __future__ import annotations

import io
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests.simulators.blobs import Blob
from tests.simulators.mvsep import algorithms
from tests.simulators.mvsep.media import Signal, decode, measure
from tests.simulators.mvsep.splitting import split

FORMATS = {
    "0": ("mp3", "mp3 (lossy, 320 kbps)"),
    "1": ("wav", "wav (uncompressed, 16 bit)"),
    "2": ("flac", "flac (lossless, 16 bit)"),
    "3": ("m4a", "m4a (lossy)"),
    "4": ("wav", "wav (uncompressed, 32 bit)"),
    "5": ("flac", "flac (lossless, 24 bit)"),
}
_SUBTYPES = {"1": "PCM_16", "2": "PCM_16", "4": "FLOAT", "5": "PCM_24"}
_STEPS = {"1": 2.0**-15, "2": 2.0**-15, "5": 2.0**-23}
_CODECS = {"0": ("mp3", "libmp3lame", "320k"), "3": ("ipod", "aac", "256k")}
_MIDI = bytes.fromhex("4d546864000000060000000100604d54726b0000000c00903c4060803c0000ff2f00")
_TEXT = "la la la\n"


@dataclass(frozen=True)
class Result:
    """One file: its label, its suffix without a dot, and its bytes."""

    label: str
    suffix: str
    content: Blob


@dataclass(frozen=True)
class Wanted:
    """What decides on the files: equal wishes get equal files."""

    number: str
    digest: str
    output_format: str
    labels: tuple[str, ...]
    delay: int
    sample_rate: int | None


class ResultMaker:
    """Makes and keeps results in a folder.

    ``audio`` is "split", or "echo": each stem is the whole source, the upload itself where the format allows.
    """

    def __init__(self, folder: Path, audio: str) -> None:
        if audio not in ("split", "echo"):
            raise ValueError(f"audio is split or echo, not {audio}")
        self._folder = folder
        self._audio = audio
        self._kept: dict[Wanted, list[Result]] = {}
        self._lock = threading.Lock()

    def make(self, wanted: Wanted, upload: Blob | None) -> list[Result]:
        """Return the files of a job.

        Raises:
            NotAudioError: the upload is no audio.
        """
        with self._lock:
            if wanted not in self._kept:
                self._kept[wanted] = self._compute(wanted, upload)
            return self._kept[wanted]

    def _compute(self, wanted: Wanted, upload: Blob | None) -> list[Result]:
        number = int(wanted.number)
        if upload is not None and number in algorithms.MIDI:
            measure(upload)
            return [Result("Midi", "mid", Blob.of(_MIDI))]
        if upload is not None and number in algorithms.TEXT:
            measure(upload)
            return [Result("Text", "txt", Blob.of(_TEXT.encode()))]
        if number in algorithms.SPEECH:
            # Of no song's length, in the form of its engine.
            return [self._encode("Audio", _sing()[::2, :1], 22050, wanted)]
        if upload is not None and number in algorithms.RESTORED:
            restored = Wanted(wanted.number, wanted.digest, wanted.output_format, wanted.labels, wanted.delay, 48000)
            return [self._encode("Restored", *_change(*decode(upload), restored), wanted)]
        if upload is not None and self._audio == "echo":
            return self._echo(wanted, upload)
        samples, rate = (_sing(), 44100) if upload is None else decode(upload)
        samples, rate = _change(samples, rate, wanted)
        parts = split(samples, rate, list(wanted.labels), _STEPS.get(wanted.output_format))
        return [self._encode(label, part, rate, wanted) for label, part in parts.items()]

    def _echo(self, wanted: Wanted, upload: Blob) -> list[Result]:
        suffix = FORMATS[wanted.output_format][0]
        sound = measure(upload)
        if (sound.container.lower(), sound.subtype) == (suffix, _SUBTYPES.get(wanted.output_format)):
            return [Result(label, suffix, upload) for label in wanted.labels]
        samples, rate = _change(*decode(upload), wanted)
        content = self._encode("echo", samples, rate, wanted).content
        return [Result(label, suffix, content) for label in wanted.labels]

    def _encode(self, label: str, samples: Signal, rate: int, wanted: Wanted) -> Result:
        suffix = FORMATS[wanted.output_format][0]
        stream = io.BytesIO()
        if wanted.output_format in _SUBTYPES:
            soundfile.write(stream, samples, rate, _SUBTYPES[wanted.output_format], format=suffix.upper())
        else:
            soundfile.write(stream, samples, rate, "FLOAT", format="WAV")
            stream = io.BytesIO(_compress(stream.getvalue(), wanted.output_format, self._folder))
        path = self._folder / f"{len(self._kept)}-{wanted.digest[:16]}-{label}.{suffix}"
        path.write_bytes(stream.getvalue())
        return Result(label, suffix, Blob.file(path))


def _change(samples: Signal, rate: int, wanted: Wanted) -> tuple[Signal, int]:
    """Bring samples to the rate the results shall have, and delay them."""
    if wanted.sample_rate is not None and wanted.sample_rate != rate:
        import soxr

        samples, rate = soxr.resample(samples, rate, wanted.sample_rate), wanted.sample_rate
    return np.pad(samples, ((wanted.delay, 0), (0, 0))), rate


def _sing() -> Signal:
    time = np.arange(44100) / 44100
    tone: Signal = 0.3 * np.sin(2 * np.pi * 220 * time)
    return np.stack([tone, tone], axis=1)


def _compress(wave: bytes, output_format: str, folder: Path) -> bytes:
    container, codec, rate = _CODECS[output_format]
    # MP4 is written with seeking back, so not into a pipe.
    path = folder / f"compressing.{container}"
    command = ["ffmpeg", "-v", "error", "-y", "-i", "-", "-c:a", codec, "-b:a", rate, "-f", container, f"file:{path}"]
    subprocess.run(command, input=wave, check=True, capture_output=True)
    data = path.read_bytes()
    path.unlink()
    return data
