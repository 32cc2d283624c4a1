"""Every test has a stembridge home of its own and sees nothing of the user's."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from plugin_core.transfer import redaction
from tests.raw_lines import RawLines, collect_garbage, listening

BYTECODE = "stembridge-bytecode"


def _sweep_bytecode() -> None:
    """Remove the bytecode of runs that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{BYTECODE}-*-*") if os.name == "posix" else ():
        try:
            os.kill(int(left.name.split("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except PermissionError:
            continue


if sys.dont_write_bytecode and "PYTEST_XDIST_WORKER" not in os.environ:
    # Told to leave no bytecode beside the sources, each worker and each interpreter would compile all of them anew.
    _sweep_bytecode()
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix=f"{BYTECODE}-{os.getpid()}-")
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    atexit.register(shutil.rmtree, sys.pycache_prefix, ignore_errors=True)

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
    monkeypatch.setattr(redaction, "_forms", set(redaction._forms))
    monkeypatch.setattr(redaction, "_known", redaction._known)
