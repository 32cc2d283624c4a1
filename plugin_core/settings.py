"""Settings: command-line option, then environment, then keyring, then config.toml, then default.

Each part of stembridge declares its own section as a frozen ``msgspec.Struct`` beside the code that uses it and reads
it with ``settings.section("local", LocalSettings)``. A value of section ``local``, key ``workers`` comes from
``STEMBRIDGE_LOCAL_WORKERS``, or from::

    [local]
    workers = 2
"""

from __future__ import annotations

import codecs
import math
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast, get_args, get_origin

import msgspec

from plugin_core.errors import SettingsError, suggest_key, suggest_usual

S = TypeVar("S", bound=msgspec.Struct)

CONFIG_NAME = "config.toml"


class Secret(str):
    """A text that must not be seen: prints, formats and logs as ``********``."""

    def __new__(cls, text: str = "") -> Self:
        """Take the text itself, also of another secret, whose ``str`` is a mask."""
        return super().__new__(cls, text.reveal() if isinstance(text, Secret) else text)

    def __repr__(self) -> str:
        return "Secret('********')" if self else "Secret('')"

    def __str__(self) -> str:
        return "********" if self else ""

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def reveal(self) -> str:
        """Return the text itself; only for the call that sends it."""
        return str.__str__(self)


def default_home() -> Path:
    """Return the platform's folder for stembridge's data, without looking at the environment variable.

    Raises:
        SettingsError: the user has no home folder, as in some containers.
    """
    import platformdirs

    try:
        folder = Path(platformdirs.user_data_dir("stembridge", appauthor=False))
    except RuntimeError as error:
        raise SettingsError("this user has no home folder", remedy="set STEMBRIDGE_HOME to a folder") from error
    # Earlier platformdirs leave the "~" as it is, and a folder of that name would be made.
    if not folder.is_absolute():
        raise SettingsError("this user has no home folder", remedy="set STEMBRIDGE_HOME to a folder")
    return folder


_READ_WITH = {"jobs": "psycopg"}
"""Whoever has not installed what alone uses a section's secrets is not kept waiting for a look at the keyring."""


def no_keyring(_section: str, _key: str) -> str | None:
    """Look nowhere: the keyring of a machine that has none, and of most tests."""
    return None


def system_keyring(section: str, key: str) -> str | None:
    """Read a secret from the system's keyring, if the extra ``keyring`` is installed and a keyring answers."""
    if find_spec(_READ_WITH.get(section, "keyring")) is None:
        return None
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    try:
        return keyring.get_password("stembridge", f"{section}.{key}")
    except keyring.errors.KeyringError:
        # Headless machines have no keyring service; the other places of a setting still count.
        return None


class Settings:
    """Where settings come from: the home folder, its config.toml, an environment and a keyring.

    Args:
        home: the folder of config.toml, job store, staging and logs; default ``STEMBRIDGE_HOME`` or the platform's.
        environ: the environment to read; default the process's.
        keyring: looks a secret up by section and key.

    Raises:
        SettingsError: there is no such home folder, or none is known.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        keyring: Callable[[str, str], str | None] = system_keyring,
    ) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        named = self.environ.get("STEMBRIDGE_HOME")
        self.home = home or (_named_home(named) if named else default_home())
        self._keyring = keyring
        self._document: dict[str, Any] | None = None
        self._asked: dict[str, type[msgspec.Struct]] = {}
        self._given: dict[tuple[str, type[msgspec.Struct]], msgspec.Struct] = {}

    @property
    def config_path(self) -> Path:
        """The settings file, which may not exist."""
        return self.home / CONFIG_NAME

    @property
    def document(self) -> dict[str, Any]:
        """The settings file as TOML, read once, or anew by ``reread``.

        Raises:
            SettingsError: not readable, not TOML (with its line), or a secret others can read.
        """
        if self._document is None:
            self._document = _read_document(self.config_path)
        return self._document

    def reread(self) -> bool:
        """Let what was changed in the settings file or the keyring count from now on; tell whether anything was.

        Raises:
            SettingsError: the file is wrong; then nothing changes.
        """
        before = self._document, self._given
        self._document = _read_document(self.config_path)
        try:
            self._given = {(name, kind): self._fill(name, kind) for name, kind in list(self._given)}
        except SettingsError:
            self._document = before[0]
            raise
        return (self._document, self._given) != before

    @property
    def asked(self) -> Mapping[str, type[msgspec.Struct]]:
        """The declarations of the sections that somebody has read so far; any other in the file does nothing yet."""
        return self._asked

    def place_of(self, section: str, key: str) -> str:
        """Say where a value comes from, for a message about it: its variable, or its file and line."""
        variable = variable_of(section, key)
        if variable in self.environ:
            return variable
        table = self._table(section)
        if isinstance(table, dict) and key in table:
            return f"{self.config_path}, line {_line_of(self.config_path, section, key)}: [{section}] {key}"
        return f"the default of [{section}] {key}"

    def section(self, name: str, kind: type[S]) -> S:
        """Return one section, filled from every place, checked against its declaration; once, or anew by ``reread``.

        Raises:
            SettingsError: an unknown key or a wrong value, named with file and line or with its variable.
        """
        self._asked[name] = kind
        if (name, kind) not in self._given:
            self._given[name, kind] = self._fill(name, kind)
        return cast("S", self._given[name, kind])

    def _fill(self, name: str, kind: type[S]) -> S:
        # Working out their types takes longer than reading them.
        fields = msgspec.structs.fields(kind)
        values = self._file_values(name, {field.name: field for field in fields})
        for field in fields:
            if (found := self._outside_value(name, field)) is not None:
                values[field.name] = found
        return kind(**values)

    def table(self, name: str) -> dict[str, Any]:
        """Return the keys of a section of the file as they stand there; empty where there is none."""
        found = self._table(name)
        return found if isinstance(found, dict) else {}

    def _table(self, name: str) -> Any:
        """Return a section of the file; a dotted name is a table within a table."""
        table: Any = self.document
        for part in name.split("."):
            table = table.get(part, {}) if isinstance(table, dict) else table
        return table

    def _file_values(self, name: str, fields: Mapping[str, msgspec.structs.FieldInfo]) -> dict[str, Any]:
        table = self._table(name)
        if not isinstance(table, dict):
            raise self._wrong(name, "", f"[{name}] must be a table")
        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in fields:
                raise self._wrong(name, key, f"unknown key {key!r} in [{name}]{suggest_key(key, fields)}")
            try:
                values[key] = _convert(value, fields[key].type, strict=True)
            except msgspec.ValidationError as error:
                raise self._wrong(name, key, f"[{name}] {key}: {_plain(error, value, fields[key].type)}") from error
        return values

    def _outside_value(self, section: str, field: msgspec.structs.FieldInfo) -> Any:
        variable = variable_of(section, field.name)
        text = self.environ.get(variable)
        if text is None and field.type is Secret:
            text = self._keyring(section, field.name)
        if text is None:
            return None
        try:
            return _convert(_split_list(text, field.type), field.type, strict=False)
        except msgspec.ValidationError as error:
            what = _plain(error, text, field.type)
            raise SettingsError(f"{variable}: {what}", remedy="correct or unset the variable") from error

    def _wrong(self, section: str, key: str, what: str) -> SettingsError:
        line = _line_of(self.config_path, section, key)
        return SettingsError(f"{self.config_path}, line {line}: {what}", remedy="correct the settings file")


def _named_home(text: str) -> Path:
    try:
        return expand_user(text).absolute()
    except ValueError as error:
        raise SettingsError(f"STEMBRIDGE_HOME: {error}", remedy="set it to a folder") from error


def variable_of(section: str, key: str) -> str:
    return f"STEMBRIDGE_{section}_{key}".upper().replace("-", "_").replace(".", "_")


def _convert(value: Any, kind: Any, *, strict: bool) -> Any:
    converted = msgspec.convert(value, kind, strict=strict, dec_hook=_decode)
    if isinstance(converted, float) and not math.isfinite(converted):
        raise msgspec.ValidationError("Expected a finite number")
    if isinstance(converted, tuple | dict):
        # Of a table the names alone: what stands behind them msgspec has looked at.
        usual = words_of(next(iter(get_args(kind)), None))
        for word in converted if usual else ():
            if suggest_usual(word, usual):
                raise msgspec.ValidationError(f"Invalid enum value '{word}'")
    return converted


def _decode(kind: type, value: Any) -> Any:
    if isinstance(value, str):
        if kind is Secret:
            # Copied with a blank or a line's end, as often happens, it would be refused.
            return Secret(value.strip())
        if issubclass(kind, Path):
            return expand_user(value)
    # A secret without its quotes is one all the same.
    raise msgspec.ValidationError("Expected text" if kind is Secret else f"Expected text, got {value!r}")


def _split_list(text: str, kind: Any) -> Any:
    """Turn "a, b" into a list and "a=1, b=2" into a table: an environment variable holds only text."""
    if getattr(kind, "__origin__", None) in (tuple, list):
        return [word.strip() for word in text.split(",") if word.strip()]
    if getattr(kind, "__origin__", None) is dict:
        pairs = (word.partition("=") for word in text.split(",") if word.strip())
        return {key.strip(): value.strip() for key, _, value in pairs}
    if kind in (bool, bool | None):
        return {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(text.lower(), text)
    return text


def _plain(error: msgspec.ValidationError, value: Any, kind: Any) -> str:
    """Return what was wrong in words, with the words or the numbers there are where one was not known."""
    text = str(error).split(" - at ")[0]
    unknown = re.fullmatch(r"Invalid enum value '(.*)'", text, re.DOTALL)
    if unknown:
        return f"unknown word {unknown[1]!r}{suggest_key(unknown[1], words_of(kind))}"
    text = re.sub(
        r"`([a-z| ]+)`", lambda found: " or ".join(_TYPES.get(word, word) for word in found[1].split(" | ")), text
    )
    return f"{text[:1].lower()}{text[1:]}{_describe_number(value, kind)}"


def _describe_number(value: Any, kind: Any) -> str:
    """Return the end of a message about a number out of its bounds: the number, and all the bounds; "" for no such."""
    bounds = next((each for each in getattr(kind, "__metadata__", ()) if isinstance(each, msgspec.Meta)), None)
    with suppress(ValueError):
        value = float(value) if isinstance(value, str) else value
    if bounds is None or isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    least = f"from {bounds.ge:g}" if bounds.ge is not None else f"above {bounds.gt:g}" if bounds.gt is not None else ""
    most = f"to {bounds.le:g}" if bounds.le is not None else f"below {bounds.lt:g}" if bounds.lt is not None else ""
    return f", not {value:g} (allowed: {' '.join(filter(None, (least, most)))})"


_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
"""What msgspec calls the types of values, as people do."""


def words_of(kind: Any) -> tuple[str, ...]:
    """Return every word that a type names, or that is usual for it."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, msgspec.Meta):
        return tuple(kind.extra or ())
    return tuple(word for part in get_args(kind) for word in words_of(part))


def expand_user(text: str) -> Path:
    """Return a path with ``~`` filled in.

    Raises:
        ValueError: it names a user this machine does not have.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{text!r}: no such user") from error


def _read_document(path: Path) -> dict[str, Any]:
    try:
        # Some editors on Windows begin a UTF-8 file with a byte order mark, which TOML does not know.
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        mode = path.stat().st_mode
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        raise SettingsError(f"{path.parent} is no folder", remedy="set STEMBRIDGE_HOME to one") from error
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}", remedy="make the settings file readable") from error
    try:
        document = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}, line {line}: not UTF-8 text", remedy="save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_describe_toml_error(path, data.decode(), error), remedy="correct the line") from error
    _refuse_shared_secret(path, document, mode)
    return document


def _describe_toml_error(path: Path, text: str, error: tomllib.TOMLDecodeError) -> str:
    place = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", str(error))
    line = int(place.group(1)) if place and place.group(1) else text.count("\n") + 1
    what = re.sub(r" \(at .*\)$", "", str(error))
    said, is_set, _ = text.splitlines()[line - 1].partition("=") if line <= len(text.splitlines()) else ("", "", "")
    # What stands on a line of its own may be a secret.
    key = said.strip() if is_set or said.lstrip().startswith("[") else ""
    return f"{path}, line {line}{f', key {key!r}' if key else ''}: {what[:1].lower() + what[1:]}"


def _refuse_shared_secret(path: Path, document: Mapping[str, Any], mode: int) -> None:
    if os.name == "nt" or not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return
    for section, table in document.items():
        for key, value in table.items() if isinstance(table, dict) else ():
            if isinstance(value, str) and (is_secret_name(key) or _WITH_PASSWORD.match(value)):
                raise SettingsError(
                    f"{path} holds the secret [{section}] {key} and others can read it", remedy=f"chmod 600 {path}"
                )


_WITH_PASSWORD = re.compile(r"\w+://[^/@\s:]*:[^/@\s]+@|(.*\s)?password\s*=")
"""An address that names a password, of either of PostgreSQL's forms."""


def is_secret_name(key: str) -> bool:
    """Tell whether a setting's name says that its value is a secret."""
    return bool(re.search(r"(token|secret|password|(^|_)key)$|secret_", key.lower()))


def _line_of(path: Path, section: str, key: str) -> int:
    """Find the line of a key for a message; tomllib keeps no positions."""
    inside, heading_line = False, 1
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if heading := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            inside = heading.group(1).strip("\"'") == section
            heading_line = number if inside else heading_line
        elif (inside or not section) and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line) and key:
            return number
    return heading_line
