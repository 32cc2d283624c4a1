"""The command in a process of its own: signals, terminals, and an installed plugin."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import quick_start
from tests.plugin_core.cli.fakes import write_song

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and terminals")

PLUGIN = '''
import os
from pathlib import Path
from plugin_core import hookimpl
from plugin_core.model import Progress
from plugin_core.protocols import Waiting
from tests.plugin_core.cli.fakes import FakeSeparator


class Gated(FakeSeparator):
    """Is done once the file GATE exists."""

    async def poll(self, order, report):
        if not Path(os.environ["GATE"]).exists():
            return Waiting(seconds=0.05, progress=Progress(fraction=0.5, note="at the gate"))
        return await super().poll(order, report)

    async def plan(self, source, wish):
        price = os.environ.get("PRICE", "0")
        self.price = None if price == "unknown" else float(price)
        return await super().plan(source, wish)


@hookimpl
def register_separators(register, settings):
    register(Gated())
'''
COMMAND = (sys.executable, "-m", "plugin_core")


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the gated plugin as pip would, for processes of this test only; return the gate."""
    site = tmp_path / "site"
    info = site / "gated-1.2.dist-info"
    info.mkdir(parents=True)
    (site / "gated.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gated\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[stembridge]\ngated = gated\n")
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(root)]))
    monkeypatch.setenv("STEMBRIDGE_SEPARATE_PROVIDER", "fake")
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "gate"


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a separation and wait until it stands at the gate."""
    write_song(tmp_path / "Song.flac")
    process = quick_start.Popen(
        [*COMMAND, "separate", "Song.flac", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["state"] == "running":
            break
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return quick_start.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_stopped_run_is_resumed(
    held: subprocess.Popen[str], installed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    held.send_signal(number)
    out, err = held.communicate(timeout=600)
    summary = json.loads(out.splitlines()[-1])
    assert (held.returncode, err) == (130, "")
    assert (summary["event"], summary["unfinished"], summary["exit_code"]) == ("summary", 1, 130)
    assert not list(tmp_path.glob("*.stems"))
    installed.touch()
    resumed = run("jobs", "resume")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert "Song.flac: vocals, instrumental in Song.stems" in resumed.stdout
    assert (tmp_path / "Song.stems" / "Song - Vocals.flac").is_file()


def test_a_killed_run_is_resumed(held: subprocess.Popen[str], installed: Path, tmp_path: Path) -> None:
    held.kill()
    held.wait()
    installed.touch()
    assert run("jobs", "resume").returncode == 0
    assert (tmp_path / "Song.stems" / "Song - Vocals.flac").is_file()


def test_a_second_process_joins_and_tells_the_end(held: subprocess.Popen[str], installed: Path) -> None:
    second = quick_start.Popen([*COMMAND, "separate", "Song.flac", "--json"], stdout=subprocess.PIPE, text=True)
    assert second.stdout is not None
    # What the other process is buying costs this one nothing more.
    first_line = json.loads(second.stdout.readline())
    assert (first_line["event"], first_line["bought"]) == ("price", 1)
    installed.touch()
    rest = [json.loads(line) for line in second.stdout]
    second.stdout.close()
    assert second.wait() == 0
    assert [event["state"] for event in rest if event["event"] == "job"][-1] == "done"
    assert len({event["id"] for event in rest if event["event"] == "job"}) == 1
    assert held.wait(600) == 0


def test_a_reader_that_goes_away_leaves_the_job_resumable(held: subprocess.Popen[str], installed: Path) -> None:
    assert held.stdout is not None
    held.stdout.close()
    installed.touch()
    assert held.wait(600) == 130
    assert held.stderr is not None
    assert held.stderr.read() == ""
    held.stdout = None
    assert run("jobs", "resume").returncode == 0
    assert count_jobs("--state", "done") == 1


def count_jobs(*arguments: str) -> int:
    """Return how many jobs the store holds."""
    lines = run("jobs", "list", "--json", *arguments).stdout.splitlines()
    return sum(json.loads(line)["event"] == "job" for line in lines)


def in_terminal(arguments: list[str], answer: str = "") -> tuple[int, str]:
    """Run the command in a terminal of 80 columns and return its exit code and all it wrote."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = quick_start.Popen(
        [*COMMAND, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=os.environ | {"TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(slave)
    seen = b""
    alarm = threading.Timer(600, process.kill)
    alarm.start()
    is_answered = False
    while True:
        # Python loses a Ctrl-C typed in the instant between its last look for signals and its read: type it again.
        if answer == "\x03" and is_answered and not select.select([master], [], [], 3)[0]:
            os.write(master, answer.encode())
            continue
        try:
            block = os.read(master, 65536)
        except OSError:
            break  # Linux says so when the other side is closed
        if not block:
            break
        seen += block
        if answer and not is_answered and b"Go on?" in seen:
            os.write(master, answer.encode())
            is_answered = True
    alarm.cancel()
    os.close(master)
    return process.wait(), seen.decode()


def test_a_terminal_gets_a_live_display(installed: Path, tmp_path: Path) -> None:
    installed.touch()
    write_song(tmp_path / "Song [live].flac")
    code, text = in_terminal(["separate", "Song [live].flac"])
    assert code == 0
    assert "Song [live].flac: vocals, instrumental in Song [live].stems" in text
    assert "1 done in " in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


@pytest.mark.parametrize(
    ("price", "told"), [("4", "about 4 credits"), ("unknown", "price not known")], ids=["credits", "no price"]
)
@pytest.mark.parametrize(
    ("answer", "code", "jobs"), [("y\n", 0, 1), ("n\n", 130, 0), ("\x03", 130, 0)], ids=["yes", "no", "ctrl-c"]
)
def test_a_terminal_is_asked_before_paying(
    installed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    jobs: int,
    price: str,
    told: str,
) -> None:
    """A service without a price in credits starts no more unasked than one that has one."""
    installed.touch()
    monkeypatch.setenv("PRICE", price)
    write_song(tmp_path / "Song.flac")
    ended, text = in_terminal(["separate", "Song.flac"], answer)
    assert (ended, f"1 track with fake, {told}. Go on?" in text) == (code, True)
    assert ("nothing was begun" in text, "interrupted" in text) == (code == 130, False)
    assert count_jobs() == jobs


@pytest.mark.parametrize(("price", "told"), [("4", "about 4 credits"), ("unknown", "price not known")])
def test_yes_is_not_asked(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, price: str, told: str
) -> None:
    installed.touch()
    monkeypatch.setenv("PRICE", price)
    write_song(tmp_path / "Song.flac")
    code, text = in_terminal(["separate", "Song.flac", "--yes"])
    assert (code, "Go on?" in text) == (0, False)
    assert f"1 track with fake, {told}" in text


def test_the_question_names_the_price_beside_json_too(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.touch()
    monkeypatch.setenv("PRICE", "4")
    write_song(tmp_path / "Song.flac")
    code, text = in_terminal(["separate", "Song.flac", "--json"], "n\n")
    assert code == 130
    assert "1 track with fake, about 4 credits. Go on?" in text
    assert text.index('"event":"price"') < text.index("Go on?")
    assert '"event":"summary"' in text


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"], ids=["in", "out", "error", "all"])
def test_a_missing_standard_stream_hinders_nothing(installed: Path, tmp_path: Path, closed: str) -> None:
    installed.touch()
    write_song(tmp_path / "Song.flac")
    line = f'"{sys.executable}" -m plugin_core separate Song.flac {closed}'
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "Song.stems" / "Song - Vocals.flac").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", ["--version", "--help", "separate Song.flac", "separate Song.flac --json"])
def test_a_full_disk_below_the_output_is_one_line(installed: Path, tmp_path: Path, arguments: str) -> None:
    installed.touch()
    write_song(tmp_path / "Song.flac")
    with Path("/dev/full").open("w") as full:
        command = [*COMMAND, *arguments.split()]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=600, check=False)
    told = "stembridge: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)
