"""Short songs at a service without delay: ``python -m tests.benchmarks.service [JOBS] [EXAMPLES]``.

The service is the simulator of MVSEP, in a process of its own. First the whole command with songs of 3 s that come back
as 5 stems, start-up aside: what a job takes beside decoding its song and stems once each and beside the bare requests,
both measured in the same run. Then a session alone with songs of 0.2 s and 2 stems. EXAMPLES is a folder with the
example client of the service's author (github.com/ZFTurbo/MVSep-API-Examples, ``python_example3/mvsep_client.py``),
which does those in the same run, one after the other, as it does; without the folder that part is left out. Both are
processes whose start-up does not count. ``--profile`` prints where our CPU time goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.audio_files import write_song
from tests.simulators.control import Control
from tests.simulators.mvsep import PREMIUM_TOKEN
from tests.simulators.process import run_process

JOBS = 200
BAR = 15.0
BAR_BESIDE = 10.0
MODEL = 40
FLAC = 2
SECONDS = 0.2
FIVE_STEMS = 20
LONGER = 3.0
STARTED = 2
"""Songs of the run whose processor time stands for starting up."""

Answers = Any
"""A queue between processes of (seconds, seconds of CPU)."""


def main() -> None:
    """Print a line for each client."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    count = int(words[0]) if words else JOBS
    with tempfile.TemporaryDirectory() as name:
        songs = write_songs(Path(name) / "songs", count)
        with run_simulator() as (url, control):
            measure_command(url, Path(name) / "command", count)
        with run_simulator() as (url, control):
            print(f"{'':8}{'jobs/s':>9}{'CPU/job':>11}   (bar: {BAR:.0f} ms, and more jobs/s than theirs)")
            rate = report("ours", count, ours, url, songs, Path(name) / "home", "--profile" in sys.argv)
            assert control.state()["created"] == count
            assert len(list(songs.glob("*.stems/*.flac"))) == 2 * count
            if len(words) > 1:
                client = Path(words[1]) / "python_example3" / "mvsep_client.py"
                other = report("theirs", count, theirs, url, songs, Path(name) / "theirs", client)
                print(f"{'ratio':8}{rate / other:8.1f}x")


def run_simulator() -> contextlib.AbstractContextManager[tuple[str, Control]]:
    """Run a service that answers at once, each stem being the song."""
    return run_process("tests.simulators.mvsep", "--audio", "echo", "--walk", "instant", "--rate-limit", "1000000")


def measure_command(url: str, folder: Path, count: int) -> None:
    """Print what a job costs through the command line, and what of that is neither decoding nor HTTP."""
    few = write_songs(folder / "few", STARTED, LONGER, "flac")
    many = write_songs(folder / "many", STARTED + count, LONGER, "flac")
    begun, _ = separate(url, few, folder / "few home")
    spent, seconds = separate(url, many, folder / "many home")
    stems = sorted(many.glob("*.stems/*.flac"))
    songs = sorted(many.glob("*.flac"))
    assert len(stems) == 5 * len(songs)
    total = (spent - begun) / count
    paths = [str(path) for path in (*songs, *stems)]
    decoding = apart(decode, paths) / len(songs)
    listening = apart(listen, [str(song) for song in songs]) / len(songs) - decoding
    recognising = apart(recognise, [str(song) for song in songs]) / len(songs)
    requests = apart(request, url, [str(song) for song in songs]) / len(songs)
    beside = total - decoding - requests
    print(
        f"command: {1000 * total:.1f} ms of CPU a job ({count / seconds:.1f} jobs/s, start-up included):"
        f" decoding {1000 * decoding:.1f}, HTTP {1000 * requests:.1f}, beside them {1000 * beside:.1f}"
        f" (bar: {BAR_BESIDE:.0f}), of which recognising the song {1000 * recognising:.1f}"
        f" and holding the stems against it {1000 * listening:.1f}"
    )


def separate(url: str, songs: Path, home: Path) -> tuple[float, float]:
    """Separate a folder with the command; return its seconds of CPU and its seconds."""
    environment = {**os.environ, **settings(url), "STEMBRIDGE_HOME": str(home)}
    words = ["separate", str(songs), "--recursive", "--provider", "mvsep", "--model", str(FIVE_STEMS), "--yes"]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "plugin_core", "--quiet", *words], env=environment)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("the command failed")
    return used.ru_utime + used.ru_stime, time.perf_counter() - start


def apart(work: Callable[..., None], *arguments: object) -> float:
    """Do something in a process of its own and return the seconds of CPU that took it, start-up aside."""
    context = multiprocessing.get_context("spawn")
    answers: Answers = context.SimpleQueue()
    process = context.Process(target=work, args=(answers, *arguments))
    process.start()
    return float(_answer_of(process, answers))


def _answer_of(process: multiprocessing.process.BaseProcess, answers: Answers) -> Any:
    # One that broke never answers; what it puts is little enough to lie in the pipe until it has ended.
    process.join()
    if process.exitcode:
        raise SystemExit("what is measured failed")
    return answers.get()


def decode(answers: Answers, paths: list[str]) -> None:
    """Decode files, once each."""
    import soundfile

    soundfile.read(paths[0], dtype="float32")
    answers.put(_measure(lambda: [soundfile.read(path, dtype="float32") for path in paths])[1])


def listen(answers: Answers, songs: list[str]) -> None:
    """Hold the stems of each song against it."""
    from plugin_core.model import Part
    from plugin_core.stems.verification import verify_parts
    from plugin_core.tasks import Stopper

    def work() -> None:
        for song in map(Path, songs):
            stems = sorted(song.with_suffix(".stems").iterdir())
            parts = [Part(stem=stem.stem, label=stem.stem, path=stem) for stem in stems]
            verify_parts(song, parts, Stopper())

    answers.put(_measure(work)[1])


def recognise(answers: Answers, songs: list[str]) -> None:
    """Tell what each song sounds like."""
    from plugin_core.recordings.digest import digest_of

    answers.put(_measure(lambda: [digest_of(Path(song)) for song in songs])[1])


def request(answers: Answers, url: str, songs: list[str]) -> None:
    """Do the requests of a job for each song, one after the other, with nothing around them but httpx as we use it."""
    import httpx

    headers = {"Authorization": f"Bearer {PREMIUM_TOKEN}"}
    form = {"api_token": PREMIUM_TOKEN, "sep_type": str(FIVE_STEMS), "output_format": str(FLAC)}

    async def work() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            for song in map(Path, songs):
                part = song.with_suffix(".part")
                files = {"audiofile": (song.name, song.read_bytes())}
                answer = await client.post(f"{url}/api/separation/create", data=form, files=files)
                found = (await client.get(answer.json()["data"]["link"], headers=headers)).json()
                for file in found["data"]["files"]:
                    async with client.stream("GET", file["url"]) as got:
                        with part.open("wb") as opened:
                            async for chunk in got.aiter_bytes():
                                opened.write(chunk)
                part.unlink()

    answers.put(_measure(lambda: asyncio.run(work()))[1])


def write_songs(folder: Path, count: int, seconds: float = SECONDS, suffix: str = "wav") -> Path:
    """Write short songs, each with a content of its own."""
    folder.mkdir(parents=True)
    for number in range(count):
        write_song(folder / f"Song {number:03}.{suffix}", seconds, 44100, subtype="PCM_16", seed=number)
    return folder


def settings(url: str) -> dict[str, str]:
    """Return the environment in which MVSEP is the simulator."""
    return {
        "STEMBRIDGE_PLUGINS": "mvsep",
        "STEMBRIDGE_MVSEP_API_TOKEN": PREMIUM_TOKEN,
        "STEMBRIDGE_MVSEP_BASE_URL": f"{url}/api",
        "STEMBRIDGE_MVSEP_POLL_FIRST": "0.01",
    }


def report(name: str, count: int, work: Callable[..., None], *arguments: object) -> float:
    """Run a client in a process of its own, print what it took, and return its jobs a second."""
    context = multiprocessing.get_context("spawn")
    answers: Answers = context.SimpleQueue()
    process = context.Process(target=work, args=(answers, *arguments))
    process.start()
    seconds, cpu = _answer_of(process, answers)
    print(f"{name:8}{count / seconds:9.1f}{1000 * cpu / count:8.1f} ms")
    return count / float(seconds)


def ours(answers: Answers, url: str, songs: Path, home: Path, is_profiled: bool) -> None:
    """Separate a folder through a session."""
    from plugin_core import Session, Settings
    from plugin_core.plugins import load_plugins
    from plugin_core.settings import no_keyring

    environ = settings(url)
    with Session(Settings(home, environ=environ, keyring=no_keyring), load_plugins(environ=environ)) as session:
        warm_up = write_song(home.parent / "warm-up.wav", SECONDS, subtype="PCM_16", seed=JOBS**2)
        asyncio.run(_look_only(session, warm_up))
        with _profile() if is_profiled else contextlib.nullcontext():
            answers.put(_measure(lambda: asyncio.run(_separate(session, sorted(songs.glob("*.wav"))))))


async def _look_only(session: Any, song: Path) -> None:
    """Import what the work needs: start-up is measured elsewhere."""
    import plugin_core.audio.upload
    import plugin_core.jobs.engine
    import plugin_core.operations.stem_tags
    import plugin_core.stems.treatment
    import plugin_core.transfer.wire  # noqa: F401
    from plugin_core import Separation

    source = await session.look(song)
    await session.plan(source, Separation(provider="mvsep", model=str(MODEL)))


async def _separate(session: Any, songs: list[Path]) -> None:
    from plugin_core import JobState, Separation

    wish = Separation(provider="mvsep", model=str(MODEL))
    ids = []
    for song in songs:
        source = await session.look(song)
        job, _ = await session.add(source, await session.plan(source, wish))
        ids.append(job.id)
    jobs = await session.run(ids)
    assert [job.state for job in jobs] == [JobState.DONE] * len(songs), [job.problem for job in jobs if job.problem]


def theirs(answers: Answers, url: str, songs: Path, target: Path, client_file: Path) -> None:
    """Separate a folder with the example client."""
    spec = importlib.util.spec_from_file_location("mvsep_client", client_file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{client_file} is no client")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    client = module.MVSEPClient(PREMIUM_TOKEN, retry_interval=0, debug=False)
    client.base_url = f"{url}/api"
    answers.put(_measure(lambda: client.process_directory(str(songs), str(target), sep_type=MODEL, output_format=FLAC)))
    assert len(list(target.iterdir())) == 2 * len(list(songs.glob("*.wav")))


def _measure(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds, and seconds of CPU, children included."""
    before, start = sum(os.times()[:4]), time.perf_counter()
    work()
    return time.perf_counter() - start, sum(os.times()[:4]) - before


@contextlib.contextmanager
def _profile() -> Any:
    import cProfile
    import pstats

    profile = cProfile.Profile()
    profile.enable()
    yield
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
