"""What it costs to tell what a song sounds like: ``python -m tests.benchmarks.recordings [SECONDS]``.

Exact formats: what the digest adds to a decode that happens anyway, in processor time and in time that passes; for
240 s of floats 0.10 s (WAV) and 0.11 s (WavPack), of which SHA-256 over the doubles they are hashed as takes 0.09 s.
Coded ones: the digest of the packets against reading and hashing the file's bytes. Processor time, programs that were
started included; the least of some rounds.

And ten thousand files that were done before, of a hot folder and of a command that comes back for songs whose stems
stand: how many are opened when they are looked through again, and the time that takes over the time to ask the system
for their status.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import soundfile
from stembridge_hot_folder.ledger import Row, SongLedger, SongState
from stembridge_hot_folder.scan import Names, ScanRules, SeenSong, scan

from plugin_core import Run, Separation, Session, Settings, Want, find_songs
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.probe import identify
from plugin_core.audio.reader import open_reader
from plugin_core.files.checksum import hash_file
from plugin_core.jobs.keys import make_job
from plugin_core.model import JobState, Stem
from plugin_core.recordings.digest import digest_of, pcm1_of
from plugin_core.run import Asker
from tests.audio_files import encode, make_song

ROUNDS = 5
BLOCK = 1 << 16
KNOWN = 10_000
WISH = Separation(provider="local")
EXACT = {
    "16.wav": ["-c:a", "pcm_s16le"],
    "24.wav": ["-c:a", "pcm_s24le"],
    "32.wav": ["-c:a", "pcm_s32le"],
    "float.wav": ["-af", "volume=0.7", "-c:a", "pcm_f32le"],
    "flac": [],
    "wv": [],
    "alac.m4a": ["-c:a", "alac"],
}
CODED = {
    "mp3": ["-c:a", "libmp3lame", "-b:a", "320k"],
    "ogg": ["-c:a", "libvorbis", "-q:a", "5"],
    "opus": ["-c:a", "libopus", "-b:a", "160k"],
    "aac": ["-c:a", "aac", "-b:a", "256k"],
    "m4a": ["-c:a", "aac", "-b:a", "256k"],
}


def main(seconds: int) -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        song = write_song(folder / "song.wav", seconds)
        print(f"{seconds} s{'':10}{'decode':>10}{'+ pcm1':>10}{'adds':>10}{'passes':>10}   (bar: 0.1 s more)")
        for kind, options in EXACT.items():
            show_exact(kind, encode(song, folder / f"exact.{kind}", *options))
        print(f"\n{seconds} s{'':10}{'read':>10}{'bytes':>10}{'pkt1':>10}{'/ bytes':>8}   (bar: 2)")
        for kind, options in CODED.items():
            show_coded(kind, encode(song, folder / f"coded.{kind}", *options))
        show_known(folder / "known", KNOWN)
        show_standing(folder / "standing", KNOWN)


def write_song(path: Path, seconds: int) -> Path:
    """Write the same twenty seconds again and again."""
    part = make_song(20.0)
    with soundfile.SoundFile(path, "w", 44100, 2, "FLOAT") as opened:
        for begun in range(0, seconds, 20):
            opened.write(part[: (seconds - begun) * 44100])
    return path


def show_exact(kind: str, path: Path) -> None:
    """Print what the digest of the samples adds to decoding, in processor time and in time that passes."""
    info = identify(path)
    alone, told = (measure_both(work) for work in (lambda: decode(path, info), lambda: pcm1_of(path, info)))
    adds = [after - before for before, after in zip(alone, told, strict=True)]
    print(f"{kind:15}{alone[0]:9.3f}s{told[0]:9.3f}s{adds[0]:9.3f}s{adds[1]:9.3f}s")


def decode(path: Path, info: AudioInfo) -> None:
    """Decode a song as a job does."""
    dtype: Literal["float32", "float64"] = "float64" if info.encoding in ("pcm_32", "double") else "float32"
    with open_reader(path, info=info) as reader:
        while len(reader.read(BLOCK, dtype)):
            pass


def show_coded(kind: str, path: Path) -> None:
    """Print what the digest of the packets costs."""
    info = identify(path)
    read, hashed = measure(path.read_bytes), measure(lambda: hash_file(path))
    told = measure(lambda: digest_of(path, info))
    print(f"{kind:15}{read:9.4f}s{hashed:9.4f}s{told:9.4f}s{told / hashed:8.2f}")


def show_known(folder: Path, count: int) -> None:
    """Print what it costs to see that the songs of a hot folder are all done."""
    for number in range(count):
        path = folder / f"{number % 100:02}" / f"{number:05}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RIFF")
    root, rules = os.fsencode(folder), ScanRules(names=Names())
    with SongLedger(folder.with_suffix(".sqlite3")) as ledger:
        songs = [sight for sight in scan(root, rules) if isinstance(sight, SeenSong)]
        for song in songs:
            ledger.put(Row(path=song.path, root=root, identity=song.identity, state=SongState.DONE))

    def recognise() -> int:
        # A new process, which knows nothing yet.
        with SongLedger(folder.with_suffix(".sqlite3")) as ledger:
            sights = [sight for sight in scan(root, rules) if isinstance(sight, SeenSong)]
            return sum(ledger.is_finished(sight.path, sight.identity) for sight in sights)

    opened = watch(folder)
    known = recognise()
    looked, walked = measure(recognise), measure(lambda: [path.stat() for path in folder.rglob("*.wav")])
    print(
        f"\n{known} of {count} files known, {len(opened)} opened; {looked:.2f}s, {looked / walked:.1f} x their status"
    )


def show_standing(folder: Path, count: int) -> None:
    """Print what it costs the command to see that the stems of all songs stand."""
    music, settings = folder / "Music", Settings(folder / "home", environ={})
    with Session(settings) as session:
        asyncio.run(place_stems(session, [write_small(music, number) for number in range(count)]))
    opened = watch(music)

    async def come_back() -> int:
        # A new process, which knows nothing yet.
        with Session(settings) as session:
            songs = find_songs(music, is_own=session.memory.is_own_work)
            ready = await Run(session, Asker[Want]()).offer([Want(path=path, operation=WISH) for path in songs])
            return sum(one.offer.standing is not None for one in ready)

    # What was just made is known once it is some seconds old and was read.
    time.sleep(2.1)
    asyncio.run(come_back())
    opened.clear()
    looked, known = _measure_once(lambda: asyncio.run(come_back()))[0], asyncio.run(come_back())
    walked = measure(lambda: [path.stat() for path in music.rglob("*.*")])
    print(f"{known} of {count} songs done, {len(opened)} opened; {looked:.2f}s, {looked / walked:.1f} x their status")


def write_small(music: Path, number: int) -> Path:
    """Write a song of its own, no longer than it must be."""
    path = music / f"{number % 100:02}" / f"{number:05}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, [number / KNOWN] * 100, 8000, subtype="PCM_16")
    return path


async def place_stems(session: Session, songs: list[Path]) -> None:
    """Store a job for each song as if it were done, its stems beside it."""
    for path in songs:
        source = session.inspect(path)
        plan = await session.plan(source, WISH)
        bill = await session.history.bill(source, plan)
        job = make_job(
            source, plan, bill=bill, host="", preset="", force=False, may_buy=False, clock=session.store.clock
        )
        folder = path.with_suffix(".stems")
        folder.mkdir()
        places = [folder / f"{path.stem} - {stem.title()}.flac" for stem in plan.stems]
        stems = []
        for name, place in zip(plan.stems, places, strict=True):
            place.write_bytes(f"{path} {name}".encode())
            record = hash_file(place)
            stems.append(Stem(name=name, label=name, path=place, size=record.size, sha256=record.sha256))
        session.store.add(
            msgspec.structs.replace(job, state=JobState.DONE, stems=tuple(stems)), is_gone=lambda _: False
        )


def watch(folder: Path) -> list[object]:
    """Return what is opened in a folder from now on."""
    opened: list[object] = []

    def see(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(f"{folder}{os.sep}"):
            opened.append(arguments[0])

    sys.addaudithook(see)
    return opened


def measure(work: Callable[[], object]) -> float:
    """Return the least seconds of the processor."""
    return measure_both(work)[0]


def measure_both(work: Callable[[], object]) -> tuple[float, float]:
    """Return the least seconds of the processor, and the least that passed."""
    spent, passed = zip(*(_measure_once(work) for _ in range(ROUNDS)), strict=True)
    return min(spent), min(passed)


def _measure_once(work: Callable[[], object]) -> tuple[float, float]:
    begun = time.perf_counter(), time.process_time(), os.times()
    work()
    passed, spent, now = time.perf_counter() - begun[0], time.process_time() - begun[1], os.times()
    return spent + sum(now[2:4]) - sum(begun[2][2:4]), passed


if __name__ == "__main__":
    if shutil.which("ffmpeg") is None:
        sys.exit("this benchmark needs ffmpeg")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 240)
