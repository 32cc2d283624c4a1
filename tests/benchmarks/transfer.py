"""1 GiB up and down against curl, over loopback: ``python -m tests.benchmarks.transfer [MEBIBYTES]``.

Both talk to one server in a process of its own, in turns, and the fastest round of each counts. Upload is a multipart
form with a known length, download goes to a file; ours is on disk at the end, curl's only in the last line ("synced").
Set TMPDIR to a folder in memory to leave the disk out. Needs Linux and curl.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.separation import MEBIBYTE
from tests.benchmarks.sink import serve

ROUNDS = 3
BAR = 1.3
MOST_MEMORY = 120


def main() -> None:
    """Print a line for each direction."""
    if shutil.which("curl") is None:
        raise SystemExit("curl is not installed")
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        song = write_file(folder / "song.bin", size)
        print(f"{'':10}{'curl':>9}{'ours':>9}{'ratio':>8}{'peak':>10}   (bars: {BAR}, {MOST_MEMORY} MiB)")
        with serve(song) as url:
            compare("upload", lambda: curl_up(url, song), lambda: ours(upload, url, song))
            compare("download", lambda: curl_down(url, folder), lambda: ours(download, url, folder))
            compare("synced", lambda: curl_down_synced(url, folder), lambda: ours(download, url, folder))


def compare(name: str, curl: Callable[[], float], ours: Callable[[], tuple[float, float]]) -> None:
    """Time both in turns and print the fastest of each, and our largest resident set."""
    rounds = [(curl(), *ours()) for _ in range(ROUNDS)]
    theirs, mine = min(each[0] for each in rounds), min(each[1] for each in rounds)
    peak = max(each[2] for each in rounds)
    print(f"{name:10}{theirs:8.2f}s{mine:8.2f}s{mine / theirs:7.2f}x{peak:7.0f}MiB")


def write_file(path: Path, mebibytes: int) -> Path:
    """Write noise, so that nothing on the way can make it smaller."""
    block = os.urandom(MEBIBYTE)
    with path.open("wb") as file:
        for number in range(mebibytes):
            file.write(number.to_bytes(8, "big") + block[8:])
    return path


def curl_up(url: str, song: Path) -> float:
    """Upload with curl; return seconds."""
    return _curl("--form", "api_token=none", "--form", f"audiofile=@{song}", f"{url}/up")


def curl_down(url: str, folder: Path) -> float:
    """Download with curl; return seconds."""
    return _curl("--output", str(folder / "curl.bin"), f"{url}/down")


def curl_down_synced(url: str, folder: Path) -> float:
    """Download with curl and put the file on disk, as ours always does; return seconds."""
    seconds = curl_down(url, folder)
    with (folder / "curl.bin").open("rb") as file:
        start = time.perf_counter()
        os.fsync(file.fileno())
        return seconds + time.perf_counter() - start


def _curl(*arguments: str) -> float:
    asked = ["curl", "--silent", "--fail", "--write-out", "%{stderr}%{time_total}", *arguments]
    done = subprocess.run(asked, check=True, capture_output=True, text=True)
    return float(done.stderr)


def ours(work: Callable[[str, Path], None], url: str, path: Path) -> tuple[float, float]:
    """Do it in a process of its own; return seconds, without start-up, and its largest resident set in MiB."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=_measure, args=(work, url, path, answers))
    process.start()
    seconds, peak = answers.get()
    process.join()
    return float(seconds), float(peak)


def _measure(
    work: Callable[[str, Path], None], url: str, path: Path, answers: multiprocessing.SimpleQueue[tuple[float, float]]
) -> None:
    import resource

    import plugin_core.transfer.wire  # noqa: F401 - start-up is measured elsewhere

    start = time.perf_counter()
    work(url, path)
    seconds = time.perf_counter() - start
    answers.put((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def upload(url: str, song: Path) -> None:
    """Upload with ours."""
    from plugin_core.transfer import Call, FilePart, Multipart, Transfer

    body = Multipart(fields={"api_token": "none"}, files=[FilePart(field="audiofile", path=song)])
    size = song.stat().st_size
    call = Call(method="POST", url=f"{url}/up", what="upload", body=body)

    async def run() -> None:
        async with Transfer("benchmark") as transfer:
            answer = await transfer.send_once(call)
            assert answer.data["received"] > size

    asyncio.run(run())


def download(url: str, folder: Path) -> None:
    """Download with ours."""
    from plugin_core.transfer import Transfer

    async def run() -> None:
        async with Transfer("benchmark") as transfer:
            await transfer.download(f"{url}/down", folder / "ours.bin")

    asyncio.run(run())


if __name__ == "__main__":
    main()
