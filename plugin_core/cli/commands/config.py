"""``stembridge config``: what the settings are and where each comes from; change them without breaking the file."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_origin

import click
import msgspec

from plugin_core.abilities import HasLogin
from plugin_core.cli.settings import (
    changing,
    declared,
    find_mistakes,
    read_config,
    refuse_other_changes,
    set_key,
    unset_key,
    write_config,
)
from plugin_core.console.context import Context
from plugin_core.console.groups import examples, group
from plugin_core.console.json_lines import describe_count, write_record
from plugin_core.console.options import JSON_OPTION
from plugin_core.console.phrases import clean, show
from plugin_core.errors import ExitCode, SettingsError, StembridgeError, UsageError, suggest_key
from plugin_core.files.placement import replace_file
from plugin_core.session import Session
from plugin_core.settings import CONFIG_NAME, Secret, Settings, is_secret_name, no_keyring, variable_of


class Setting(msgspec.Struct, frozen=True):
    """One key, as it is shown."""

    section: str
    key: str
    value: Any
    origin: str
    """``default``, ``file``, ``environment`` or ``keyring``."""
    place: str
    """The line of the file, or the variable; "" for any other."""


@examples("stembridge config show --changed", "stembridge config set separate.format wav24")
@group(name="config")
def command() -> None:
    """Show or change the settings, which stand in config.toml and in the environment."""


@examples("stembridge config path")
@command.command("path")
@JSON_OPTION
@click.pass_obj
def path_of(context: Context, as_json: bool) -> None:
    """Show where config.toml is; it need not exist."""
    path = context.settings.config_path
    if as_json:
        write_record({"event": "config", "path": path, "exists": path.exists()})
        write_record(describe_count(1))
    else:
        click.echo(clean(str(path)))


@examples("stembridge config show --changed", "stembridge config show separate.format")
@command.command("show")
@click.argument("section", required=False)
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@JSON_OPTION
@click.pass_obj
def show_all(context: Context, section: str | None, changed: bool, as_json: bool) -> int:
    """Show every setting and where it comes from: default, file, environment or keyring. Secrets are masked.

    SECTION shows one section, SECTION.KEY one key.
    """
    with context.session() as session:
        kinds = declared(session)
        # Those of services that have no limit say nothing.
        names = [name for name in sorted(kinds) if not name.startswith("spend.") or session.settings.table(name)]
        wanted, key = _split_wanted(section, kinds)
        errors: list[StembridgeError] = []
        found = list(_collect(session.settings, kinds, [wanted] if wanted else names, errors))
    found = [one for one in found if (not key or one.key == key) and not (changed and one.origin == "default")]
    code = int(max((error.exit_code for error in errors), default=ExitCode.DONE))
    if as_json:
        for one in found:
            write_record({"event": "setting"} | msgspec.structs.asdict(one))
        write_record(describe_count(len(found), code))
    else:
        _print(found)
    for error in errors:
        # A provider's settings are told of when it registers.
        if not context.logs.has_said(line := clean(str(error))):
            click.echo(f"stembridge: {line}", err=True)
    return code


def _split_wanted(word: str | None, kinds: dict[str, type[msgspec.Struct]]) -> tuple[str, str]:
    if word is None or word in kinds:
        return word or "", ""
    section, key, _ = split_key(word, kinds)
    return section, key


def _collect(
    settings: Settings, kinds: dict[str, type[msgspec.Struct]], names: list[str], errors: list[StembridgeError]
) -> Iterator[Setting]:
    """Yield every key of the sections; one that cannot be read is an error, and the rest is shown."""
    for name in names:
        try:
            filled = settings.section(name, kinds[name])
        except SettingsError as error:
            errors.append(error)
            continue
        for field in msgspec.structs.fields(kinds[name]):
            value = getattr(filled, field.name)
            origin, place = _find_origin(settings, name, field, value)
            shown = str(value) if _is_secret(field) else _plain(value)
            yield Setting(name, field.name, shown, origin, place)


def _find_origin(settings: Settings, section: str, field: msgspec.structs.FieldInfo, value: Any) -> tuple[str, str]:
    variable = variable_of(section, field.name)
    if variable in settings.environ:
        return "environment", variable
    written = settings.table(section).get(field.name)
    if field.type is Secret and value and (written is None or Secret(str(written).strip()) != value):
        return "keyring", ""
    if written is None:
        return "default", ""
    return "file", settings.place_of(section, field.name).rpartition(": ")[0]


def _print(found: list[Setting]) -> None:
    """Print settings as TOML, with where they come from behind them."""
    import tomlkit

    section = ""
    for one in found:
        if one.section != section:
            click.echo(f"{'' if not section else chr(10)}[{one.section}]")
            section = one.section
        table = tomlkit.inline_table()
        table["value"] = "" if one.value is None else one.value
        value = table.as_string()[len("{value = ") : -1]
        line = clean(f"{one.key} = {value}")
        click.echo(f"{line:<36} # {clean(one.place) or one.origin}")


def _is_secret(field: msgspec.structs.FieldInfo) -> bool:
    return field.type is Secret or is_secret_name(field.name)


@examples(
    "stembridge config set separate.format wav24",
    "stembridge config set tags.fields.mood grouping",
    "stembridge config set separate.format --unset",
)
@command.command("set")
@click.argument("key", metavar="SECTION.KEY")
@click.argument("value", required=False)
@click.option("--unset", is_flag=True, help="Take the key out of the file.")
@JSON_OPTION
@click.pass_obj
def set_one(context: Context, key: str, value: str | None, unset: bool, as_json: bool) -> int:
    """Set a key in config.toml; everything else in the file stays as it is.

    Lists are written as A,B. A key of a table is SECTION.KEY.NAME. Secrets are for `stembridge login`.
    """
    if unset == (value is not None):
        raise UsageError("say a value, or --unset", remedy="`stembridge config show` lists all keys")
    path = context.settings.config_path
    with context.session() as session:
        kinds = declared(session)
        section, name, rest = split_key(key, kinds)
        field = next(one for one in msgspec.structs.fields(kinds[section]) if one.name == name)
        if _is_secret(field) and not unset:
            raise UsageError(f"{key} is a secret, and others can read a command line", remedy=_name_login(session, key))
        way = [*section.split("."), name, *rest]
        with changing(path):
            document = read_config(path)
            before, document_before = document.unwrap(), document.as_string().encode()
            if unset:
                unset_key(document, way)
            else:
                assert value is not None
                set_key(document, way, _read_value(section, field, rest, value))
            text = document.as_string()
            refuse_other_changes(before, text, way)
            # Another mistake may stand there already, and must not keep this one from being mended.
            home = session.settings.home
            known = {_without_lines(each) for each in check_text(session, document_before, home)}
            if mistakes := [
                each for each in check_text(session, text.encode(), home) if _without_lines(each) not in known
            ]:
                raise UsageError(f"nothing was changed: {mistakes[0].message}", remedy=mistakes[0].remedy)
            write_config(path, document, mode=None if path.exists() else 0o600)
    variable = variable_of(section, name)
    if variable in context.settings.environ:
        click.echo(f"stembridge: {variable} is set and wins over the file", err=True)
    if as_json:
        write_record({"event": "config", "path": path, "exists": True})
        write_record(describe_count(1))
    elif not context.quiet:
        click.echo(f"{show(path)}: {key} {'is taken out' if unset else 'is set'}")
    return 0


def split_key(word: str, kinds: dict[str, type[msgspec.Struct]]) -> tuple[str, str, list[str]]:
    """Turn "tags.fields.mood" into section, key, and the way within a table.

    Raises:
        UsageError: nobody declares it.
    """
    parts = word.split(".")
    size = 2 if parts[0] == "spend" else 1
    section = ".".join(parts[:size])
    if parts[0] in ("presets", "paths"):
        raise UsageError(f"{parts[0]} are written in the file itself", remedy="stembridge config edit")
    if section not in kinds:
        raise UsageError(f"no section is called {section!r}{suggest_key(section, kinds)}")
    names = kinds[section].__struct_fields__
    if len(parts) <= size or parts[size] not in names:
        name = ".".join(parts[size:])
        raise UsageError(f"[{section}] has no key {name!r}{suggest_key(name, names)}")
    rest = parts[size + 1 :]
    is_table = get_origin(msgspec.structs.fields(kinds[section])[names.index(parts[size])].type) is dict
    if rest and not (is_table and len(rest) == 1 and rest[0]):
        raise UsageError(f"[{section}] {parts[size]} is no table, {'.'.join(rest)!r} names nothing in it")
    return section, parts[size], rest


def _name_login(session: Session, key: str) -> str:
    section = key.split(".")[0]
    for name, each in session.providers.items():
        if isinstance(each, HasLogin) and each.section == section:
            return f"stembridge login {name}"
    return "stembridge config edit, or the system's keyring"


def _read_value(section: str, field: msgspec.structs.FieldInfo, rest: list[str], text: str) -> Any:
    """Read a word as a variable of the environment is read, and return what stands for it in TOML.

    Raises:
        UsageError: it is none of what the key takes.
    """
    variable = variable_of(section, field.name)
    kind = msgspec.defstruct("Alone", [(field.name, field.type, None)], frozen=True)
    with _draft(b"", {variable: f"{rest[0]}={text}" if rest else text}) as alone:
        try:
            value = getattr(alone.section(section, kind), field.name)
        except SettingsError as error:
            what = error.message.removeprefix(f"{variable}: ")
            raise UsageError(f"{section}.{'.'.join((field.name, *rest))}: {what}") from error
    return text if isinstance(value, Path) else _plain(value[rest[0]] if rest else value)


def _plain(value: Any) -> Any:
    """Return a value as TOML writes it."""
    return msgspec.to_builtins(value, enc_hook=os.fspath)


@contextmanager
def _draft(data: bytes, environ: Mapping[str, str] = MappingProxyType({})) -> Iterator[Settings]:
    """Give settings whose file holds this, in a folder of their own, where no variable wins over it."""
    with tempfile.TemporaryDirectory(prefix="stembridge-") as folder:
        path = Path(folder, CONFIG_NAME)
        path.touch(0o600)
        path.write_bytes(data)
        yield Settings(Path(folder), environ=environ, keyring=no_keyring)


def _without_lines(error: StembridgeError) -> str:
    return re.sub(r"line \d+", "", error.message)


def check_text(session: Session, data: bytes, home: Path) -> list[StembridgeError]:
    """Return what would be wrong in the settings file of a home if it held this, with its name and lines."""
    with _draft(data) as draft:
        folder = str(draft.home)
        found = [each for each in find_mistakes(session, draft) if folder in each.message]
    for error in found:
        error.message = error.message.replace(folder, str(home))
        error.args = (error.message,)
    return found


@examples("VISUAL=nano stembridge config edit")
@command.command("edit")
@click.pass_obj
def edit(context: Context) -> int:
    """Open config.toml in $VISUAL or $EDITOR.

    What is wrong afterwards is told, and what was there before stays until it is right.
    """
    path = context.settings.config_path
    before = _read(path)
    draft = path.with_name(f"config.{secrets.token_hex(4)}.toml")
    kept = f"what you wrote is kept in {draft}"
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.touch(0o600)
        draft.write_bytes(before)
    except OSError as error:
        raise SettingsError(f"{draft} cannot be written: {error.strerror}", remedy="mend the folder") from error
    while True:
        code = _open_editor(context.settings.environ, draft)
        # A draft that was thrown away is no wish for an empty file.
        written = _read(draft) if draft.exists() else before
        if written == before or code:
            if written == before:
                draft.unlink(missing_ok=True)
            if code:
                raise UsageError(f"the editor ended with {code}", remedy=kept if draft.exists() else "")
            click.echo("nothing was changed")
            return 0
        # A file that could not be read yesterday can be mended with this command.
        mistakes = _examine(context, written)
        if not mistakes:
            break
        for mistake in mistakes:
            click.echo(f"stembridge: {clean(str(mistake))}", err=True)
        if not sys.stdin.isatty() or not click.confirm("Edit again?", default=True, err=True):
            raise SettingsError(f"{path} stays as it was", remedy=kept)
    with changing(path):
        if _read(path) != before:
            raise SettingsError(f"{path} was changed meanwhile, and stays so", remedy=kept)
        replace_file(path, written, mode=None if path.exists() else 0o600)
    draft.unlink()
    click.echo(f"{show(path)} is changed")
    return 0


def _examine(context: Context, data: bytes) -> list[StembridgeError]:
    with _draft(b"") as empty, Session(empty, context.plugins) as session:
        return check_text(session, data, context.settings.home)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _open_editor(environ: Mapping[str, str], path: Path) -> int:
    usual = next(filter(shutil.which, ("sensible-editor", "nano", "vi", "notepad")), "vi")
    wanted = environ.get("VISUAL") or environ.get("EDITOR") or usual
    try:
        return subprocess.run([*shlex.split(wanted), str(path)], check=False).returncode
    except (OSError, ValueError) as error:
        path.unlink()
        what = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{clean(wanted)} cannot be started: {what}", remedy="set EDITOR") from error
