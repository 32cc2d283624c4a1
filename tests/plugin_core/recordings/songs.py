"""One short song in every format, and other programs to edit it with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from plugin_core.recordings.content import is_of_bytes
from plugin_core.recordings.digest import digest_of
from tests.audio_files import make_once, make_song, write_samples

SECONDS = 2.5

MADE_BY = {
    "flac": ("flac", "-s", "-f", "-o", "{new}", "{wav}"),
    "wv": ("wavpack", "-q", "-y", "{wav}", "-o", "{new}"),
    "aiff": ("sox", "{wav}", "{new}"),
    "tta": ("ffmpeg", "-i", "{wav}", "{new}"),
    "alac.m4a": ("ffmpeg", "-i", "{wav}", "-c:a", "alac", "{new}"),
    "mp3": ("ffmpeg", "-i", "{wav}", "-c:a", "libmp3lame", "{new}"),
    "vbr.mp3": ("lame", "--quiet", "-V4", "{wav}", "{new}"),
    "mp2": ("ffmpeg", "-i", "{wav}", "-c:a", "mp2", "{new}"),
    "ogg": ("ffmpeg", "-i", "{wav}", "-c:a", "libvorbis", "{new}"),
    "opus": ("ffmpeg", "-i", "{wav}", "-c:a", "libopus", "{new}"),
    "m4a": ("ffmpeg", "-i", "{wav}", "-c:a", "aac", "{new}"),
    "wma": ("ffmpeg", "-i", "{wav}", "-c:a", "wmav2", "{new}"),
    "ima.wav": ("ffmpeg", "-i", "{wav}", "-c:a", "adpcm_ima_wav", "{new}"),
}
"""By the end of the name. Only what the local encoders write is compared: never with a text of another machine."""


class Songs:
    """The songs, each made when it is first asked for and never changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._heard: dict[str, str] = {}
        self.wav = make_once(folder / "song.wav", lambda new: write_samples(new, make_song(SECONDS), subtype="PCM_16"))

    def get(self, kind: str) -> Path:
        """Return the song of a kind, which is ``wav`` or one of ``MADE_BY``."""
        return make_once(self.folder / f"song.{kind}", lambda new: run(*MADE_BY[kind], new=new, wav=self.wav))

    def hear(self, kind: str) -> str:
        """Return the digest of a song."""
        if kind not in self._heard:
            self._heard[kind] = hear(self.get(kind))
        return self._heard[kind]

    def cover(self) -> Path:
        """Return a picture that can be decoded: ffmpeg looks at covers as well."""
        picture = ("ffmpeg", "-f", "lavfi", "-i", "testsrc=s=300x300", "-frames:v", "1", "{new}")
        return make_once(self.folder / "cover.jpg", lambda new: run(*picture, new=new))

    def copy(self, kind: str, folder: Path) -> Path:
        """Return a copy to be edited."""
        return Path(shutil.copy(self.get(kind), folder))


def hear(path: Path) -> str:
    """Return the digest of a file that must be known by its sound, not by its bytes."""
    digest = digest_of(path)
    assert not is_of_bytes(digest)
    return digest


def run(program: str, *arguments: str, **names: Path | str) -> None:
    """Run a program, with its names filled in; skip the test where it is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    options = ("-v", "error", "-nostdin", "-y") if program == "ffmpeg" else ()
    command = [program, *options, *(one.format(**names) for one in arguments)]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    # mkvmerge ends with 1 after a mere warning.
    assert done.returncode <= (program == "mkvmerge"), (command, done.stdout, done.stderr)
