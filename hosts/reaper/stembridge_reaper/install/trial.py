"""Trying a Python library in a process that may die: loaded as REAPER loads it, in what a desktop gives a program."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from stembridge_reaper.install.reaper_ini import OLDEST

MODULES: Final = (
    "collections.abc",
    "ctypes",
    "json",
    "os",
    "random",
    "re",
    "subprocess",
    "sys",
    "tempfile",
    "time",
    "traceback",
    "typing",
    "uuid",
)
"""What the scripts import, and REAPER's own module."""

DESKTOP_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
"""Where a program that was started from a menu looks for others, Python among them."""

NOT_TRIED: Final = "not tried, as nothing here can load it but REAPER"
TRY_BY: Final = "on Linux perl does: install it and look again"

_NOWHERE: Final = "/nonexistent"
_PATIENCE: Final = 60.0

_HOST: Final = r"""
require DynaLoader;
sub refuse { print STDERR "it $_[0]\n"; exit 1 }
sub why { DynaLoader::dl_error() =~ s/^\Q$ARGV[0]\E: | at -e line.*//sgr }
my $library = DynaLoader::dl_load_file($ARGV[0], 1) or refuse("cannot be loaded: " . why());
my @calls = map {
    DynaLoader::dl_find_symbol($library, $_) or refuse("is no library of Python from 3.8 on: it has no $_")
} ("Py_Initialize", "Py_RunMain");
DynaLoader::dl_install_xsub("main::call_$_", $calls[$_])->() for (0, 1);
"""
"""A program that is no Python: one would lend the library its own functions. 1 is RTLD_GLOBAL; the script is stdin."""

_SCRIPT: Final = f"""
import os, sys
os.write(1, b"%d %d\\n%s\\n" % (*sys.version_info[:2], os.fsencode(os.path.dirname(os.__file__))))
import {", ".join(MODULES)}
os.write(1, b"done")
os._exit(0)
"""

_TOLD: Final = re.compile(rb"(\d+) (\d+)\n(.*)\n(done)?")
_ERROR: Final = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception): .+|^it .+", re.MULTILINE)


class Trial(msgspec.Struct, frozen=True):
    """How a library did."""

    fault: str = ""
    """Why the scripts cannot run in it, as a sentence about it; empty when they can."""
    is_done: bool = True
    """False where there is nothing to try it with."""


class _Heard(msgspec.Struct, frozen=True):
    """What one process told."""

    fault: str = ""
    version: tuple[int, int] = OLDEST
    home: str = ""
    """Folder of the standard library; empty where Python did not start."""


def try_library(library: Path, platform: str = sys.platform) -> Trial:
    """Start Python in a library, with what the scripts import; whatever it does, this process lives on.

    Args:
        library: the shared library.
        platform: as ``sys.platform``.
    """
    command = _command(library, platform)
    if command is None:
        return Trial(is_done=False)
    if platform != "linux":
        return Trial(_run(command, None).fault)
    run = _run(command, DESKTOP_PATH)
    if run.home and (own := _run(command, _NOWHERE).home) != run.home:
        # Found by PATH: it fails at once, or when one of the two is updated.
        rest = f"not its own, {own}" if own else "and has none of its own"
        return Trial(f"it takes the standard library of another Python, {run.home}, {rest}")
    return Trial(run.fault)


def _command(library: Path, platform: str) -> list[str] | None:
    """Return what loads the library and runs the script on standard input; None where there is nothing."""
    if platform == "linux":
        perl = shutil.which("perl", path=DESKTOP_PATH) or shutil.which("perl")
        return [perl, "-e", _HOST, str(library.absolute())] if perl else None
    # There an interpreter is a shell around the library beside it, and finds its modules by the library.
    folder = library.resolve().parent
    names = ["python.exe"] if platform == "win32" else ["bin/python3", "../bin/python3"]
    found = (folder / name for name in names if (folder / name).is_file())
    return next(([str(path), "-"] for path in found), None)


def _run(command: list[str], path: str | None) -> _Heard:
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command,
                input=_SCRIPT.encode(),
                capture_output=True,
                cwd=folder,
                env=_environment(os.environ, path),
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _Heard(fault=f"it has not started after {_PATIENCE:.0f} s")
        except OSError as error:
            return _Heard(fault=f"it cannot be tried: {command[0]}: {error.strerror}")
    told = _TOLD.match(done.stdout)
    if told is None:
        return _Heard(fault=_explain(done))
    run = _Heard(version=(int(told[1]), int(told[2])), home=os.fsdecode(told[3]))
    if not told[4]:
        return msgspec.structs.replace(run, fault=_explain(done))
    if run.version < OLDEST:
        fault = f"it is of Python {_dotted(run.version)}, and the scripts need {_dotted(OLDEST)}"
        return msgspec.structs.replace(run, fault=fault)
    return run


def _environment(environ: Mapping[str, str], path: str | None) -> dict[str, str]:
    """Return what a program that was started from a menu gets: nothing of a shell's or an environment's Python."""
    foreign = ("PYTHON", "LD_", "DYLD_", "PERL", "VIRTUAL_ENV", "__PYVENV", "CONDA", "PYENV")
    kept = {name: value for name, value in environ.items() if not name.upper().startswith(foreign)}
    # With all symbols found at once, a library that lacks one fails here and not in the middle of an action.
    return kept | {"PERL_DL_NONLAZY": "1", "PYTHONDONTWRITEBYTECODE": "1"} | ({} if path is None else {"PATH": path})


def _explain(done: subprocess.CompletedProcess[bytes]) -> str:
    told = done.stderr.decode(errors="replace")
    last: str = (_ERROR.findall(told) or [""])[-1]
    if last.startswith("it "):
        return last
    if "Fatal Python error" in told:
        fatal = told.partition("Fatal Python error: ")[2].partition("\n")[0]
        return f"it would end REAPER: {last or fatal}"
    if done.returncode < 0:
        return f"it would end REAPER: it ended its process ({signal.strsignal(-done.returncode)})"
    return f"it cannot import what the scripts need: {last or f'exit code {done.returncode}'}"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
