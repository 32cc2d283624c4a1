"""``stembridge doctor`` and ``plugins``: is this installation well, and if not, what to do; and what is loaded."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import msgspec

from plugin_core.abilities import HasDiagnostics
from plugin_core.cli.settings import find_problems, find_strangers
from plugin_core.console.answers import Counts, show_findings
from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.json_lines import describe_count, write_record
from plugin_core.console.options import JSON_OPTION
from plugin_core.console.phrases import encodable, plural
from plugin_core.console.tables import print_table
from plugin_core.errors import SettingsError, StembridgeError, UsageError
from plugin_core.files.hidden import DOCTOR
from plugin_core.model import Finding, JobState, Progress, Separation, Verdict, amount, show_path
from plugin_core.operations.orders import Links
from plugin_core.presets import load_presets
from plugin_core.protocols import Order, Waiting
from plugin_core.registry import AUTO
from plugin_core.session import Session
from plugin_core.stores import open_shelf

MIN_FREE_BYTES = 2**30

Check = Callable[[Session], Finding]


def run_checks(session: Session) -> Iterator[Finding]:
    """Yield one finding a check; one that fails is a finding too, and the rest go on. What is wrong is told once."""
    has_settings, told = _can_read_settings(session), set[str]()
    for name, check in CHECKS.items():
        if name in _NEED_SETTINGS and not has_settings:
            # It would only say once more what the settings' own check says.
            continue
        try:
            finding = check(session)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a check runs plugins, which may raise anything
            finding = _failed(error)
            if finding.found in told:
                continue
            told.add(finding.found)
        yield msgspec.structs.replace(finding, name=name)
    if has_settings:
        yield from _examine_providers(session)


def _can_read_settings(session: Session) -> bool:
    try:
        return session.settings.document is not None
    except SettingsError:
        return False


def _examine_providers(session: Session) -> Iterator[Finding]:
    """Let each provider and stager look at its own account and service."""
    for name, each in [*session.providers.items(), *session.registry.stagers.items()]:
        if isinstance(each, HasDiagnostics):
            try:
                yield from asyncio.run(_examine(each))
                if name in session.providers and session.providers[name].account() != name:
                    # Only who has an account would be refused for what is missing besides.
                    Links(lambda: session.registry.stagers).check(session.providers[name])
            except (Exception, SystemExit) as error:  # noqa: BLE001 - it comes from a plugin
                yield msgspec.structs.replace(_failed(error), name=name)


async def _examine(each: HasDiagnostics) -> Sequence[Finding]:
    return await each.examine()


def _failed(error: BaseException) -> Finding:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, StembridgeError):
        return _wrong(error.message, error.remedy)
    if isinstance(error, OSError):
        where = f"{_show(error.filename)}: " if isinstance(error.filename, str | bytes | os.PathLike) else ""
        return _wrong(f"{where}{error.strerror or error}", "")
    return _wrong(" ".join(f"{type(error).__name__}: {error}".split()), "")


def check_python(_session: Session) -> Finding:
    return _ok(f"{platform.python_version()} in {_show(sys.prefix)}")


def check_home(session: Session) -> Finding:
    """Write a file into the home folder."""
    home = session.settings.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=home, prefix=DOCTOR):
            pass
    except OSError as error:
        remedy = "make it writable, or set STEMBRIDGE_HOME to another folder"
        return _wrong(f"{_show(home)}: {error.strerror}", remedy)
    return _ok(_show(home))


def check_settings(session: Session) -> Finding:
    """Read every section that is declared, and look at what the values name."""
    # A file that cannot be read ends the check here, before each plugin complains of it.
    _ = session.settings.document
    problems = find_problems(session)
    if problems:
        return _wrong("; ".join(problem.message for problem in problems), problems[0].remedy)
    path = session.settings.config_path
    if strangers := find_strangers(session):
        return _warn(f"{_show(path)}: {'; '.join(strangers)}", "nothing reads it; correct or remove it")
    where = _show(path) if path.exists() else f"no {_show(path)}, defaults are used"
    return _ok(f"{where}; {plural(len(load_presets(session.settings)), 'preset')}")


def check_store(session: Session) -> Finding:
    """Open the job store, use the bucket that machines share, if there is one, and count what waits."""
    store = session.store
    counts = store.counts()
    if unconfirmed := counts.get(JobState.UNCONFIRMED, 0):
        remedy = "look for them with stembridge jobs resume, or give them up with jobs cancel"
        return _warn(f"{plural(unconfirmed, 'job')} unconfirmed", remedy)
    if (depot := open_shelf(session.settings).depot) is not None:
        depot.check()
    unfinished = sum(count for state, count in counts.items() if state.is_active)
    if store.paths.is_shared:
        # What is not finished is the business of workers, anywhere.
        left = f", {unfinished} unfinished" if unfinished else ""
        return _ok(
            f"{plural(sum(counts.values()), 'job')}{left}, in {store.shown}; folders {', '.join(store.paths.names)}"
        )
    if unfinished:
        return _warn(f"{plural(unfinished, 'job')} unfinished", "stembridge jobs resume")
    return _ok(plural(sum(counts.values()), "job"))


def check_leftovers(session: Session) -> Finding:
    """Look for files and folders of ours that no job needs."""
    found = session.leftovers()
    if not found:
        return _ok("none")
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return _warn(f"{_show(found[0])}{more}, left behind by earlier runs", "stembridge jobs prune")


def check_space(session: Session) -> Finding:
    """Look at the free space of the home folder's disk."""
    home = session.settings.home
    free = shutil.disk_usage(home if home.exists() else home.anchor).free
    text = f"{amount(free / 2**30)} GiB free"
    return _ok(text) if free >= MIN_FREE_BYTES else _warn(text, f"make room on the disk of {_show(home)}")


def check_ffmpeg(_session: Session) -> Finding:
    """Find ffmpeg and its version."""
    path = shutil.which("ffmpeg")
    if path is None:
        return _warn("not found", "install ffmpeg to read m4a, WMA and video; all else works without")
    done = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        return _wrong(f"{_show(path)} does not start", "install ffmpeg anew")
    return _ok(f"{done.stdout.split(' Copyright')[0].removeprefix('ffmpeg version ')} in {_show(path)}")


def check_sndfile(_session: Session) -> Finding:
    """Load libsndfile, which reads and writes audio."""
    try:
        import soundfile
    except OSError as error:
        return _wrong(str(error), "install libsndfile, or soundfile from a wheel")
    return _ok(str(soundfile.__libsndfile_version__))


def check_keyring(_session: Session) -> Finding:
    """Say whether secrets can be kept in the system's keyring."""
    try:
        import keyring
    except ImportError:
        return _ok("not installed; secrets come from the environment or config.toml")
    backend = keyring.get_keyring()
    name = f"{type(backend).__module__}.{type(backend).__name__}"
    if backend.priority <= 0:
        return _ok(f"none answers ({name}); secrets come from the environment or config.toml")
    return _ok(name)


def check_plugins(session: Session) -> Finding:
    """Look for plugins that could not be loaded, or cannot register what they have."""
    session.registry.ask_all()
    broken: dict[str, list[str]] = {}
    for plugin in session.plugins.loaded:
        if plugin.error:
            broken.setdefault(plugin.error, []).append(plugin.name)
    if broken:
        told = "; ".join(f"{', '.join(names)}: {error}" for error, names in broken.items())
        is_settings = all(isinstance(error, SettingsError) for error in session.plugins.failures.values())
        return _wrong(told, f"{'correct the settings' if is_settings else 'update or uninstall them'}; the rest works")
    return _ok(", ".join(plugin.name for plugin in session.plugins.loaded) or "none")


def check_providers(session: Session) -> Finding:
    """Let every plugin register its providers."""
    if not session.registry.separators:
        return _wrong("nobody can separate", "unset STEMBRIDGE_PLUGINS, or install stembridge anew")
    return _ok(", ".join(sorted(session.providers)))


def check_automatic(session: Session) -> Finding:
    """Say which engine ``--provider auto`` takes, and how fast it was."""
    try:
        (model,) = asyncio.run(session.separator(AUTO).models())
    except UsageError as error:
        return _warn(error.message, error.remedy)
    return _ok(f"{model.id}, {model.summary}")


def check_separation(session: Session) -> Finding:
    """Let the embedded separator split a second of sound in a temporary folder."""
    if "local" not in session.registry.separators:
        return _warn("the local separator is not loaded", "stembridge plugins says why")
    with tempfile.TemporaryDirectory(prefix="stembridge-") as folder:
        names = asyncio.run(separate_a_second(session, Path(folder)))
    return _ok(f"the local separator made {', '.join(names)}")


CHECKS: dict[str, Check] = {
    "Python": check_python,
    "home folder": check_home,
    "settings": check_settings,
    "job store": check_store,
    "leftovers": check_leftovers,
    "free space": check_space,
    "ffmpeg": check_ffmpeg,
    "libsndfile": check_sndfile,
    "keyring": check_keyring,
    "plugins": check_plugins,
    "providers": check_providers,
    "separation": check_separation,
    "auto": check_automatic,
}


_NEED_SETTINGS = frozenset({"auto", "job store", "leftovers", "plugins", "providers", "separation"})


def _show(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """Write a path in full: what doctor says is read elsewhere, by whoever is asked for help."""
    return show_path(Path(os.fsdecode(path)).absolute())


def _ok(found: str) -> Finding:
    return Finding(name="", verdict=Verdict.OK, found=found)


def _warn(found: str, remedy: str) -> Finding:
    return Finding(name="", verdict=Verdict.WARNING, found=found, remedy=remedy)


def _wrong(found: str, remedy: str) -> Finding:
    return Finding(name="", verdict=Verdict.WRONG, found=found, remedy=remedy)


async def separate_a_second(session: Session, folder: Path) -> list[str]:
    """Return the names of the stems made in the folder.

    Raises:
        StembridgeError: the separator failed.
    """
    # Heavy, and what is broken of it is for the checks to say.
    from plugin_core import demo
    from plugin_core.demo import RATE

    path = folder / "second.flac"
    demo.write_song(path, demo.mix(demo.compose())[:RATE])
    source = session.inspect(path)
    separator = session.separator("local")
    plan = await separator.plan(source, Separation(provider="local"))
    order = Order(key="doctor", attempt="doctor", source=source, operation=plan.operation, folder=folder)
    order = msgspec.structs.replace(order, ticket=await separator.submit(order, _ignore))
    while isinstance(answer := await separator.poll(order, _ignore), Waiting):  # noqa: ASYNC110 - a provider is asked
        await asyncio.sleep(answer.seconds)
    order = msgspec.structs.replace(order, results=answer.files)
    return [part.stem for part in await separator.fetch(order, _ignore)]


def _ignore(progress: Progress) -> None:
    """Tell nobody: a second takes no time worth showing."""


WIDTH = 12


@examples("stembridge doctor", "stembridge doctor --json")
@click.command("doctor")
@JSON_OPTION
@click.pass_obj
def command(context: Context, as_json: bool) -> int:
    """Check this installation and say what to mend.

    Exit code 1 when something is wrong; warnings are no failure.
    """
    # Not context.session(): settings that cannot be read are a finding here.
    with Session(context.settings, context.plugins) as session:
        return show_findings(run_checks(session), as_json=as_json, quiet=context.quiet, conclude=_conclude, width=WIDTH)


def _conclude(counts: Counts) -> str:
    if counts[Verdict.WRONG]:
        return f"{plural(counts[Verdict.WRONG], 'problem')} to mend"
    if counts[Verdict.WARNING]:
        return f"ready, with {plural(counts[Verdict.WARNING], 'warning')}"
    return "all well"


@examples("stembridge plugins")
@click.command("plugins")
@JSON_OPTION
@click.pass_obj
def plugins(context: Context, as_json: bool) -> int:
    """List the plugins, and what each of them adds."""
    with context.session() as session:
        session.registry.ask_all()
    loaded = context.plugins.loaded
    code = 1 if any(plugin.error for plugin in loaded) else 0
    if as_json:
        for plugin in loaded:
            write_record({"event": "plugin"} | plugin._asdict() | {"error": encodable(plugin.error)})
        write_record(describe_count(len(loaded), code))
    elif loaded:
        rows = [
            (plugin.name, plugin.version, plugin.module, plugin.error or ", ".join(plugin.hooks) or "nothing")
            for plugin in loaded
        ]
        print_table(("NAME", "VERSION", "MODULE", "ADDS"), rows)
    else:
        click.echo("no plugin is loaded")
    return code
