"""``watch install`` and ``watch uninstall``: a service of the current user, in the form its system knows."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from plugin_core.errors import PlacementError, UsageError
from plugin_core.manifests import manifest
from plugin_core.model import show_path
from plugin_core.settings import Settings
from stembridge_hot_folder.folders import HotFolder, WatchSettings, open_folders, refuse_home_inside
from stembridge_hot_folder.recipes import Recipes, check_placement, read_recipes

Run = Callable[[Sequence[str]], int]
_MANIFESTS: Final = "hosts/hot_folder"
_UNIT: Final = "stembridge-watch.service"
_LABEL: Final = "org.stembridge.watch"
_TASK: Final = "stembridge watch"
_HOME: Final = "STEMBRIDGE_HOME"


class Machine(NamedTuple):
    """What the service is written for."""

    platform: str
    home: Path
    config: Path
    python: str


def this_machine(settings: Settings) -> Machine:
    """Return the machine and user of this process."""
    home = Path.home()
    return Machine(
        sys.platform, home, Path(settings.environ.get("XDG_CONFIG_HOME") or home / ".config"), sys.executable
    )


def run_tool(command: Sequence[str]) -> int:
    """Run one of the system's tools and return its exit code; 127 where there is none."""
    if shutil.which(command[0]) is None:
        return 127
    return subprocess.run(command, capture_output=True, check=False).returncode


def install(
    settings: Settings, paths: Sequence[Path], *, machine: Machine | None = None, run: Run = run_tool
) -> Iterator[str]:
    """Write the service, start it, and yield what was done.

    Raises:
        UsageError: a folder that cannot be watched, or a name that a service file cannot hold.
        PlacementError: the file cannot be written.
    """
    machine = machine or this_machine(settings)
    watch = settings.section("watch", WatchSettings)
    folders = open_folders(paths, watch)
    refuse_home_inside(folders, settings.home)
    places = _places(read_recipes(settings, folders, watch, lambda _text: None).values())
    # With -P, since the service starts in the user's home: a queue.py there would be taken for Python's own.
    command = [machine.python, "-P", "-m", "plugin_core", "watch", *(_text(folder.path) for folder in folders)]
    target = place_of(machine)
    is_replaced = target.exists()
    # The service may write in its home, not make it.
    _make_home(settings.home)
    _write(target, _content(machine, settings, [*_writable(folders), *places], command))
    yield f"written: {show_path(target)}{', in place of the service before' if is_replaced else ''}"
    if is_replaced:
        # What still runs watches the folders of before.
        for each in _ending(machine, target):
            run(each)
    started = [run(each) for each in _starting(machine, target)]
    if any(started):
        yield f"to start it: {' && '.join(' '.join(each) for each in _starting(machine, target))}"
    else:
        yield f"watching {', '.join(folder.shown for folder in folders)} from now on"
    if left := _not_passed(machine, settings):
        where = ", or among your user's variables" if machine.platform == "win32" else ""
        yield f"not passed on from this shell: {', '.join(left)}; put it in {show_path(settings.config_path)}{where}"
    if machine.platform.startswith("linux"):
        yield "to keep it running while you are logged out: loginctl enable-linger"


def uninstall(settings: Settings, *, machine: Machine | None = None, run: Run = run_tool) -> Iterator[str]:
    """Stop and remove the service, and yield what was done."""
    machine = machine or this_machine(settings)
    target = place_of(machine)
    if not target.exists():
        yield "no service is installed"
        return
    for command in _stopping(machine, target):
        run(command)
    target.unlink()
    yield f"removed: {show_path(target)}"


def place_of(machine: Machine) -> Path:
    """Return where the service's file lies."""
    if machine.platform == "darwin":
        return machine.home / "Library" / "LaunchAgents" / f"{_LABEL}.plist"
    if machine.platform == "win32":
        return machine.home / "AppData" / "Local" / "stembridge" / "stembridge-watch.xml"
    return machine.config / "systemd" / "user" / _UNIT


def _places(recipes: Iterable[Recipes]) -> list[Path]:
    """Return the folders that presets place stems in, other than beside the song."""
    found = [place.absolute() for each in recipes for recipe in each.all() for place in check_placement(recipe)]
    return list(dict.fromkeys(found))


def _writable(folders: Sequence[HotFolder]) -> list[Path]:
    paths = [folder.path for folder in folders] + [place for folder in folders for place in folder.places.values()]
    return [Path(_text(path)) for path in paths]


def _content(machine: Machine, settings: Settings, writable: Sequence[Path], command: Sequence[str]) -> bytes:
    if machine.platform == "darwin":
        return _plist(settings, command)
    if machine.platform == "win32":
        return _task(command)
    return _unit(settings, writable, command)


def _unit(settings: Settings, writable: Sequence[Path], command: Sequence[str]) -> bytes:
    template = manifest(f"{_MANIFESTS}/stembridge-watch.user.service").read_text("utf-8")
    paths = [quote_unit(f"-{path}", is_command=False) for path in (settings.home, *writable)]
    filled = (
        template.replace("@ENVIRONMENT@", quote_unit(f"STEMBRIDGE_HOME={settings.home}", is_command=False))
        .replace("@COMMAND@", " ".join(quote_unit(word) for word in command))
        # A folder that is away must not keep the others from being watched.
        .replace("@WRITABLE@", " ".join(paths))
    )
    return filled.encode("utf-8", "surrogateescape")


def quote_unit(word: str, *, is_command: bool = True) -> str:
    """Write a word for a unit file: in quotes, without meaning to systemd.

    Raises:
        UsageError: it holds a line end.
    """
    if "\n" in word or "\r" in word:
        raise UsageError(f"{show_path(Path(word))} holds a line end", remedy="rename the folder")
    quoted = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{quoted.replace("$", "$$") if is_command else quoted}"'


def _plist(settings: Settings, command: Sequence[str]) -> bytes:
    document = plistlib.loads(manifest(f"{_MANIFESTS}/{_LABEL}.plist").read_bytes())
    document["ProgramArguments"] = list(command)
    document["EnvironmentVariables"]["STEMBRIDGE_HOME"] = str(settings.home)
    return plistlib.dumps(document)


def _task(command: Sequence[str]) -> bytes:
    template = manifest(f"{_MANIFESTS}/stembridge-watch.xml").read_text("utf-8")
    arguments = subprocess.list2cmdline(command[1:])
    return template.replace("@COMMAND@", escape(command[0])).replace("@ARGUMENTS@", escape(arguments)).encode("utf-16")


def _starting(machine: Machine, target: Path) -> list[list[str]]:
    if machine.platform == "darwin":
        return [["launchctl", "load", "-w", str(target)]]
    if machine.platform == "win32":
        create = ["schtasks", "/Create", "/F", "/TN", _TASK, "/XML", str(target)]
        return [create, ["schtasks", "/Run", "/TN", _TASK]]
    return [["systemctl", "--user", "daemon-reload"], ["systemctl", "--user", "enable", "--now", _UNIT]]


def _ending(machine: Machine, target: Path) -> list[list[str]]:
    if machine.platform == "darwin":
        return [["launchctl", "unload", "-w", str(target)]]
    if machine.platform == "win32":
        return [["schtasks", "/End", "/TN", _TASK]]
    return [["systemctl", "--user", "disable", "--now", _UNIT]]


def _stopping(machine: Machine, target: Path) -> list[list[str]]:
    more = [["schtasks", "/Delete", "/F", "/TN", _TASK]] if machine.platform == "win32" else []
    return _ending(machine, target) + more


def _not_passed(machine: Machine, settings: Settings) -> list[str]:
    """Return the settings in this shell's environment that the service is not given."""
    known = "" if machine.platform == "win32" else _HOME
    return sorted(name for name in settings.environ if name.startswith("STEMBRIDGE_") and name != known)


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PlacementError(f"{show_path(home)} cannot be made: {error.strerror}") from error


def _write(target: Path, content: bytes) -> None:
    temporary = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(target)
    except OSError as error:
        raise PlacementError(f"{show_path(target)} cannot be written: {error.strerror}") from error


def _text(path: bytes) -> str:
    return os.fsdecode(path)
