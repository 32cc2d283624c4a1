"""What the tests of acts after a purchase share: the real command at one shop, and what people do to a song."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import mutagen.flac
import soundfile

from tests.end_to_end.hasty import start
from tests.end_to_end.shops import LIMIT, Shop

LABELS = {"mood", "genre"}
"""Two of the fields that labels are written into."""


class Bench:
    """The real command at one shop.

    Args:
        shop: who is paid.
        home: of stembridge.
        command: what buys, without the song.
    """

    def __init__(self, shop: Shop, home: Path, *command: str) -> None:
        self.shop, self.home, self.command = shop, home, command
        self.environ = shop.environ(home)

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Return exit code, output and errors."""
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=LIMIT)
        assert b"Traceback" not in err
        return process.returncode, out.decode(), err.decode()

    def begin(self, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a command."""
        return start(self.environ, *arguments)

    def begin_to_buy(self, *arguments: object) -> subprocess.Popen[bytes]:
        """Start to buy, and return at once."""
        return self.begin(*self.command, *arguments)

    def begin_and_kill(self, song: Path, *arguments: object) -> None:
        """Buy, and be killed while the shop holds the job."""
        self.shop.hold()
        process = self.begin_to_buy(*arguments, song)
        self.shop.wait_asked()
        self.kill(process)

    def buy(self, *arguments: object) -> None:
        """Buy, unless it is bought, and see it done."""
        code, out, err = self.run(*self.command, *arguments)
        assert code == 0, (out, err)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process as a power cut does."""
        process.kill()
        process.communicate()

    def close(self) -> None:
        """Leave nothing running."""

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Let the shop go on, and see a command end well."""
        self.shop.let_go()
        out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, (out, err)

    def come_back(self, word: str, song: Path) -> None:
        """Go on after a job ended badly, or its process was killed: by ``resume``, ``retry`` or the same command."""
        if word == "same command":
            self.buy(song)
            return
        (job,) = self.jobs()
        verb = "resume" if word == "resume" or job["state"] not in ("failed", "cancelled", "unconfirmed") else "retry"
        code, out, err = self.run("jobs", verb, job["id"])
        assert code == 0, (out, err)

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs, newest first."""
        _, out, _ = self.run("jobs", "list", "--json")
        return [one for one in map(json.loads, out.splitlines()) if one["event"] == "job"]


class SharedBench(Bench):
    """The same where the jobs lie in a database, and a worker does what the command asks for.

    Args:
        shop: who is paid.
        home: of stembridge.
        database: its address.
        music: the folder of songs that has a name there.
        command: what buys, without the song.
    """

    def __init__(self, shop: Shop, home: Path, database: str, music: Path, *command: str) -> None:
        super().__init__(shop, home, *command)
        (home / "staging").mkdir(parents=True)
        (home / "config.toml").write_text(f'[jobs]\nstaging = "{home}/staging"\n[paths]\nmusic = "{music}"\n')
        self.environ["STEMBRIDGE_JOBS_DATABASE"] = database
        # What a worker held that was killed is waited for.
        self.environ["STEMBRIDGE_JOBS_LEASE_SECONDS"] = "3"
        self._worker: subprocess.Popen[bytes] | None = None
        self._known: dict[str, str] = {}

    def begin(self, *arguments: object) -> subprocess.Popen[bytes]:
        if self._worker is None or self._known != self.environ:
            self.close()
            self._known = dict(self.environ)
            with (self.home / "worker.log").open("ab") as log:
                self._worker = start(self.environ, "worker", output=log, errors=log)
        return super().begin(*arguments)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        super().kill(process)
        self.close()

    def close(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            self._worker = None


def files(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def retitle(song: Path) -> Path:
    """Edit title and comment."""
    tags = mutagen.flac.FLAC(song)
    tags["title"] = "Another Title"
    tags["comment"] = "x" * 9000
    tags.save()
    return song


def embed_cover(song: Path) -> Path:
    """Embed a cover."""
    tags = mutagen.flac.FLAC(song)
    picture = mutagen.flac.Picture()
    picture.data, picture.mime, picture.type = b"\xff\xd8" + b"c" * 100_000, "image/jpeg", 3
    tags.add_picture(picture)
    tags.save()
    return song


def convert_losslessly(song: Path) -> Path:
    """Write the same samples into another container."""
    samples, rate = soundfile.read(song, dtype="int16")
    converted = song.with_suffix(".wav")
    soundfile.write(converted, samples, rate, subtype="PCM_16")
    song.unlink()
    return converted


def rename(song: Path) -> Path:
    """Give a song another name in its folder."""
    return song.rename(song.with_name("Renamed.flac"))


def rename_album(song: Path) -> Path:
    """Give a song's folder another name."""
    return song.parent.rename(song.parent.with_name("Album (2026)")) / song.name


def copy_far_and_delete(song: Path) -> Path:
    """Move a song far away as sync tools do."""
    there = song.parents[1] / "far/away"
    there.mkdir(parents=True)
    copied = Path(shutil.copy(song, there / song.name))
    song.unlink()
    return copied
