"""Choosing the Python library that REAPER loads: tried first, the system's own before all others; what to install."""

from __future__ import annotations

import os
import platform as machine
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.errors import UsageError
from plugin_core.model import show_path
from stembridge_reaper.install.reaper_ini import OLDEST, is_new_enough, version_of

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


def try_library(library: Path) -> Trial:
    """Start Python in a library, with what the scripts import; whatever it does, this process lives on."""
    command = _command(library)
    if command is None:
        return Trial(is_done=False)
    if sys.platform != "linux":
        return Trial(_run(command, None).fault)
    run = _run(command, DESKTOP_PATH)
    if run.home and (own := _run(command, _NOWHERE).home) != run.home:
        # Found by PATH: it fails at once, or when one of the two is updated.
        rest = f"not its own, {own}" if own else "and has none of its own"
        return Trial(f"it takes the standard library of another Python, {run.home}, {rest}")
    return Trial(run.fault)


def _command(library: Path) -> list[str] | None:
    """Return what loads the library and runs the script on standard input; None where there is nothing."""
    if sys.platform == "linux":
        perl = shutil.which("perl", path=DESKTOP_PATH) or shutil.which("perl")
        return [perl, "-e", _HOST, str(library.absolute())] if perl else None
    # There an interpreter is a shell around the library beside it, and finds its modules by the library.
    folder = library.resolve().parent
    names = ["python.exe"] if sys.platform == "win32" else ["bin/python3", "../bin/python3"]
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


_SITE: Final = "install Python 3 from https://www.python.org/downloads/"
_NAMED: Final = "or give a library with --python-library"


def advise(
    version: str,
    platform: str = sys.platform,
    release: Callable[[], Mapping[str, str]] = machine.freedesktop_os_release,
) -> str:
    """Return the remedy where no Python library will do.

    Args:
        version: of the system's own Python, ``3.11``; empty where it has none.
        platform: as ``sys.platform``.
        release: what ``os-release`` says.
    """
    return f"{_install(version, release) if platform == 'linux' else _SITE}, {_NAMED}"


def _install(version: str, release: Callable[[], Mapping[str, str]]) -> str:
    try:
        about = release()
    except OSError:
        about = {}
    for name in (about.get("ID", ""), *about.get("ID_LIKE", "").split()):
        match name:
            case "debian" | "ubuntu":
                return f"sudo apt install {f'libpython{version}' if version else 'libpython3-dev'}"
            case "fedora" | "rhel" | "centos":
                return "sudo dnf install python3-libs"
            case "arch":
                return "sudo pacman -S python"
            case "suse" | "opensuse":
                package = f"libpython{version.replace('.', '_')}-1_0" if version else "python3-devel"
                return f"sudo zypper install {package}"
    return f"install the package that holds libpython{version or '3'}.so.1.0"


Attempt = Callable[[Path], Trial]

SYSTEM_PYTHON: Final = Path("/usr/bin/python3")
"""Its library finds its modules whatever a desktop's PATH is: it is the one that is found there."""

_EXAMPLE: Final = "give the library itself, libpython3.11.so.1.0 for example"
_LIBRARY: Final = re.compile(r"\.so(\.|$)|\.dylib$|\.dll$|^Python$", re.IGNORECASE)
"""Names of shared libraries; that of a framework of macOS is ``Python``. The interpreter itself will not do."""

_ASK: Final = """
import sys, sysconfig
words = map(sysconfig.get_config_var, ("LIBDIR", "MULTIARCH", "INSTSONAME"))
print(sys.base_prefix, "%d.%d" % sys.version_info[:2], *(word or "" for word in words), sep="\\n")
"""

_PLACES: Final = {
    "linux": ("usr/lib/*-linux-gnu*", "usr/lib64", "usr/lib", "usr/local/lib", "usr/local/lib64"),
    "darwin": ("Library/Frameworks/Python.framework/Versions/3.*/lib", "opt/homebrew/lib", "usr/local/lib"),
    "win32": ("Users/*/AppData/Local/Programs/Python/Python3*", "Program Files/Python3*", "Python3*"),
}
"""Where systems and installers put Python, below the root of the disk."""

_NAMES: Final = {"linux": "libpython3.*.so.1.0", "darwin": "libpython3.*.dylib", "win32": "python3?*.dll"}


class Build(msgspec.Struct, frozen=True):
    """How a Python was built, as far as its library follows from it."""

    base: str
    """Folder of the base installation, never of a virtual environment."""
    version: str
    """Major and minor: ``3.11``."""
    folder: str = ""
    multiarch: str = ""
    name: str = ""
    """Of its library, where it has one."""


def find_library(
    candidates: Callable[[], Iterable[Path]] | None = None, attempt: Attempt = try_library
) -> tuple[Path, Trial]:
    """Return the first library in which the scripts can run, and how it did.

    Args:
        candidates: libraries that may or may not be there, the best first; default those of this machine.
        attempt: tries one.

    Raises:
        UsageError: there is none; names what to install.
    """
    faults = []
    for path in dict.fromkeys(candidates() if candidates else list_candidates()):
        if not path.is_file() or not is_new_enough(path.name):
            continue
        trial = attempt(path)
        if not trial.fault:
            return path, trial
        faults.append(f"{show_path(path)}: {trial.fault}")
    told = ": ".join(["no Python library here can run REAPER's scripts", *filter(None, ["; ".join(faults)])])
    raise UsageError(told, remedy=advise(_system_version()))


def check_library(path: Path, attempt: Attempt = try_library) -> tuple[Path, Trial]:
    """Return a library that was named, and how it did.

    Raises:
        UsageError: it is no file, of a Python before 3.8, ``python3.dll``, which holds too little, or the scripts
            cannot run in it.
    """
    if not path.is_file():
        raise UsageError(f"{show_path(path)} is no file", remedy=_EXAMPLE)
    if not _LIBRARY.search(path.name):
        raise UsageError(f"{path.name} is no library", remedy=_EXAMPLE)
    if not is_new_enough(path.name):
        raise UsageError(
            f"{path.name} is not a library that the scripts can run with", remedy="give that of a Python from 3.8 on"
        )
    path = path.absolute()
    trial = attempt(path)
    if trial.fault:
        raise UsageError(f"{show_path(path)} will not do: {trial.fault}", remedy="leave --python-library out")
    return path, trial


def list_candidates() -> Iterator[Path]:
    """Yield where libraries may be, the best first: the system's own, installed ones, that of this interpreter."""
    system = _ask(SYSTEM_PYTHON) if sys.platform == "linux" else None
    if system is not None:
        yield from libraries_of(system, sys.platform)
    yield from list_installed(sys.platform, Path(Path(sys.base_prefix).anchor))
    yield from libraries_of(_own_build(), sys.platform)


def list_installed(platform: str, root: Path) -> list[Path]:
    """Return the libraries that lie where systems and installers put them, the newest first."""
    kind = platform if platform in _PLACES else "linux"
    found = [path for place in _PLACES[kind] for path in sorted(root.glob(f"{place}/{_NAMES[kind]}"))]
    return sorted(found, key=lambda path: version_of(path.name), reverse=True)


def libraries_of(build: Build, platform: str) -> list[Path]:
    """Return where the library of a Python may be."""
    base = Path(build.base)
    if platform == "win32":
        return [base / f"python{build.version.replace('.', '')}.dll"]
    if platform == "darwin":
        return [base / "lib" / f"libpython{build.version}.dylib"]
    folders = [Path(build.folder or base / "lib"), base / "lib", base / "lib64"]
    if build.multiarch:
        folders.append(base / "lib" / build.multiarch)
    names = [build.name, f"libpython{build.version}.so.1.0"]
    return [folder / name for folder in folders for name in names if ".so" in name]


def _own_build() -> Build:
    words = (str(sysconfig.get_config_var(name) or "") for name in ("LIBDIR", "MULTIARCH", "INSTSONAME"))
    return Build(sys.base_prefix, f"{sys.version_info[0]}.{sys.version_info[1]}", *words)


def _ask(interpreter: Path) -> Build | None:
    """Return how an interpreter was built; None where it is not there or does not answer."""
    try:
        done = subprocess.run([interpreter, "-I", "-c", _ASK], capture_output=True, check=True, timeout=60)
        return Build(*done.stdout.decode().splitlines())
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError, TypeError):
        return None


def _system_version() -> str:
    system = _ask(SYSTEM_PYTHON)
    return system.version if system is not None else ""
