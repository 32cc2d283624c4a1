"""What the simulated VoiceSeparate makes of a song."""

from __future__ import annotations

import io
import subprocess
import tempfile
from pathlib import Path

import soundfile

from tests.simulators.blobs import Blob
from tests.simulators.mvsep.media import Signal, decode
from tests.simulators.mvsep.splitting import split

PARTS = {
    "IsAudio": ("AuObject",),
    "IsBackground": ("Object",),
    "AudioAndBackground": ("AuObject", "Object"),
    "MusicMode": ("AuObject", "Object", "BassObject", "DrumObject"),
}
"""The outputs of each mode, vocals first, as the vendor's sample has them."""

_STEP = 2.0**-15
_FORMATS = {"mp3": ["-f", "mp3", "-b:a", "192k"], "aac": ["-f", "adts"], "flac": ["-f", "flac"]}
_AMR = ["-f", "amr", "-ar", "8000", "-ac", "1"]


def separate(song: Blob, mode: str, config: dict[str, str]) -> dict[str, Blob]:
    """Return the bytes of each output of a mode, by the node that named it.

    Raises:
        NotAudioError: there is no audio in it.
    """
    samples, rate = decode(song)
    full = PARTS["MusicMode" if mode == "MusicMode" else "AudioAndBackground"]
    parts = split(samples, rate, list(full), _STEP)
    return {node: _encode(parts[node], rate, config) for node in PARTS[mode]}


def _encode(samples: Signal, rate: int, config: dict[str, str]) -> Blob:
    codec = config.get("Codec", "aac")
    wanted = int(config.get("Samplerate") or rate), int(config.get("Channels") or samples.shape[1])
    if codec in ("flac", "wav") and wanted == (rate, samples.shape[1]):
        return Blob.of(_write(samples, rate, codec.upper()))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.wav", Path(folder) / f"out.{codec}"
        source.write_bytes(_write(samples, rate, "WAV"))
        shape = ["-ar", str(wanted[0]), "-ac", str(wanted[1])]
        how = _AMR if codec == "amr" else [*shape, *_FORMATS.get(codec, ["-f", "wav"])]
        command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(source), *how, str(target)]
        subprocess.run(command, check=True, capture_output=True)
        return Blob.of(target.read_bytes())


def _write(samples: Signal, rate: int, container: str) -> bytes:
    target = io.BytesIO()
    soundfile.write(target, samples, rate, format=container, subtype="PCM_16")
    return target.getvalue()
