"""Every test has a stembridge home of its own and sees nothing of the user's."""

from __future__ import annotations

import atexit
import gc
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from plugin_core.transfer import redaction
from tests.raw_lines import RawLines, collect_garbage, listening

TESTS = Path(__file__).parent
OURS = "stembridge-tests"
ROOM = 8 << 30
"""Bytes of memory that are free where files of tests go there; a whole run leaves three gigabytes."""


def _find_memory() -> str | None:
    """Return a folder in memory: waiting for a disk is half of what some tests do, and none is about a power cut."""
    try:
        shown = os.statvfs("/dev/shm")
        free = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"))
    except (AttributeError, OSError):
        return None
    has_room = free is not None and min(int(free[1]) << 10, shown.f_bavail * shown.f_frsize) > ROOM
    may_run = os.access("/dev/shm", os.W_OK) and not shown.f_flag & os.ST_NOEXEC
    return "/dev/shm" if has_room and may_run else None


def _sweep(folder: str) -> None:
    """Remove what runs left that were killed, or whose failed tests nobody will look at any more."""
    for left in Path(folder).glob(f"{OURS}-*-*") if os.name == "posix" else ():
        try:
            os.kill(int(left.name.split("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except PermissionError:
            continue


if "PYTEST_XDIST_WORKER" not in os.environ:
    _place = _find_memory() or tempfile.gettempdir()
    _sweep(_place)
    _ours = tempfile.mkdtemp(prefix=f"{OURS}-{os.getpid()}-", dir=_place)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _ours)
    if sys.dont_write_bytecode:
        # Told to leave no bytecode beside the sources, each worker and each interpreter would compile all of them anew.
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = f"{_ours}/bytecode"
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start five workers for two processors: half of what tests of hosts do is to wait for processes and servers."""
    return 5 * (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) // 2


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect the tests, and look for garbage afterwards among what they make alone."""
    # To look through all that is collected, none of which is ever garbage, costs a quarter of a second a time.
    gc.disable()
    try:
        _compile_part(session)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _compile_part(session: pytest.Session) -> None:
    """Let every worker compile a part of the tests; each of them would compile all, at the same pace."""
    worker, count = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if worker == "gw0" or [Path(one).resolve() for one in session.config.args] != [TESTS]:
        return
    files = sorted(TESTS.rglob("test_*.py"))
    number = int(worker.removeprefix("gw"))
    for path in files[number * len(files) // count : (number + 1) * len(files) // count]:
        with suppress(Exception, pytest.skip.Exception):
            import_module(".".join(path.relative_to(TESTS.parent).with_suffix("").parts))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(exitstatus: int) -> None:
    """Keep the files of a run whose tests failed until the next one."""
    if "PYTEST_XDIST_WORKER" not in os.environ and exitstatus in (
        pytest.ExitCode.OK,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    ):
        atexit.register(shutil.rmtree, _ours, ignore_errors=True)


# How long an example takes says how busy the machine is, not whether it is right.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Spell out bytes of names that are no text in what a test printed: xdist would end the run over them."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point stembridge at an empty home and drop every setting of the outer environment."""
    for name in list(os.environ):
        # How wide the screen of whoever tests is must be nothing to them; xdist tells its workers.
        if name.startswith("STEMBRIDGE_") or name == "COLUMNS":
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("STEMBRIDGE_HOME", str(folder))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return folder


@pytest.fixture(scope="session")
def _listening() -> Iterator[RawLines]:
    with listening() as lines:
        yield lines


@pytest.fixture(scope="module", autouse=True)
def _no_raw_line_of_the_module(_listening: RawLines) -> Iterator[None]:
    """Fail where garbage that the last tests left makes asyncio complain; too slow to look after each test."""
    yield
    collect_garbage()
    assert _listening.take() == []


@pytest.fixture(autouse=True)
def raw_lines(_listening: RawLines) -> Iterator[RawLines]:
    """Fail a test that prints a line nobody could act upon: an unobserved task, a broken log, a list of shutil's."""
    yield _listening
    assert _listening.take() == []


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a test registers as a secret be masked in that test alone: it may be a plain word in another."""
    monkeypatch.setattr(redaction, "_forms", redaction._forms)
    monkeypatch.setattr(redaction, "_known", redaction._known)
