"""Settings: the order of places, typed values, and errors that name file, line and key."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import pytest

from plugin_core.errors import ExitCode, SettingsError
from plugin_core.jobs.policy import JobsSettings
from plugin_core.settings import Secret, Settings, is_secret_name, no_keyring


class Example(msgspec.Struct, frozen=True):
    """A section as a plugin would declare it."""

    workers: int = 2
    fast: bool = False
    ignore: tuple[str, ...] = ()
    folder: Path | None = None
    api_token: Secret = Secret("")


def find_sections() -> list[type[msgspec.Struct]]:
    """Return what every part of stembridge declares as its section."""
    root = Path(__file__).parents[2]
    declared = re.compile(r"^class (\w+Settings)\(msgspec\.Struct", re.MULTILINE)
    found = []
    for top in (root, *(root / "hosts" / host for host in ("beets", "hot_folder", "reaper", "ui"))):
        for path in top.glob("plugin_core/**/*.py" if top == root else "stembridge_*/**/*.py"):
            for name in declared.findall(path.read_text(encoding="utf-8")):
                module = ".".join(path.relative_to(top).with_suffix("").parts)
                found.append(getattr(importlib.import_module(module), name))
    return sorted(found, key=lambda kind: kind.__name__)


def numbers_in(kind: Any) -> list[Any]:
    """Return every type of a number inside a type."""
    if kind in (int, float) or get_origin(kind) is Annotated:
        return [kind] if kind in (int, float) or kind.__origin__ in (int, float) else numbers_in(kind.__origin__)
    return [] if get_origin(kind) is Literal else [number for part in get_args(kind) for number in numbers_in(part)]


def settings_of(home: Path, text: str = "", mode: int = 0o600, **environ: str) -> Settings:
    (home / "config.toml").write_text(text)
    (home / "config.toml").chmod(mode)
    return Settings(home, environ=environ, keyring=no_keyring)


def test_defaults_without_a_file(tmp_path: Path) -> None:
    assert Settings(tmp_path / "none", environ={}).section("example", Example) == Example()


def test_what_is_changed_in_file_or_keyring_counts_once_it_is_read_anew_and_a_mistake_changes_nothing(
    tmp_path: Path,
) -> None:
    kept: dict[tuple[str, str], str] = {}
    config = tmp_path / "config.toml"
    settings = Settings(tmp_path, environ={}, keyring=lambda *name: kept.get(name))
    assert settings.section("example", Example) == Example()
    assert not settings.reread()
    config.write_text("[example]\nworkers = 3\n")
    assert settings.section("example", Example).workers == 2
    assert settings.reread()
    assert settings.section("example", Example).workers == 3
    for wrong in ("[example\n", "[example]\nworkers = 'many'\n"):
        config.write_text(wrong)
        with pytest.raises(SettingsError):
            settings.reread()
        assert settings.section("example", Example).workers == 3
    config.write_text("[example]\nworkers = 3\n")
    assert not settings.reread()
    kept["example", "api_token"] = "new"
    assert settings.section("example", Example).api_token.reveal() == ""
    assert settings.reread()
    assert settings.section("example", Example).api_token.reveal() == "new"
    assert not settings.reread()


def test_environment_wins_over_keyring_over_file(tmp_path: Path) -> None:
    settings_of(tmp_path, '[example]\napi_token = "file"\nworkers = 5\n')
    kept = {("example", "api_token"): "keyring"}
    plain = Settings(tmp_path, environ={}, keyring=no_keyring)
    with_keyring = Settings(tmp_path, environ={}, keyring=lambda *name: kept.get(name))
    variables = {"STEMBRIDGE_EXAMPLE_API_TOKEN": "environment"}
    everything = Settings(tmp_path, environ=variables, keyring=lambda *name: kept.get(name))
    found = [s.section("example", Example).api_token.reveal() for s in (plain, with_keyring, everything)]
    assert found == ["file", "keyring", "environment"]
    assert plain.section("example", Example).workers == 5


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("WORKERS", "7", Example(workers=7)),
        ("FAST", "yes", Example(fast=True)),
        ("FAST", "off", Example(fast=False)),
        ("IGNORE", "a, b,", Example(ignore=("a", "b"))),
        ("FOLDER", "/music", Example(folder=Path("/music"))),
    ],
    ids=["int", "yes", "off", "list", "path"],
)
def test_environment_values_are_typed(tmp_path: Path, variable: str, text: str, expected: Example) -> None:
    settings = Settings(tmp_path, environ={f"STEMBRIDGE_EXAMPLE_{variable}": text}, keyring=no_keyring)
    assert settings.section("example", Example) == expected


def test_wrong_environment_value_names_the_variable(tmp_path: Path) -> None:
    settings = Settings(tmp_path, environ={"STEMBRIDGE_EXAMPLE_WORKERS": "many"}, keyring=no_keyring)
    with pytest.raises(SettingsError, match="STEMBRIDGE_EXAMPLE_WORKERS: expected a whole number"):
        settings.section("example", Example)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[example]\nfast = true\nworkers = 'two'\n", "line 3: [example] workers: expected a whole number, got text"),
        ("# top\n\n[example]\nworker = 2\n", "line 4: unknown key 'worker' in [example], did you mean 'workers'?"),
        ("example = 3\n", "line 1: [example] must be a table"),
        ("[example]\nworkers = = 2\n", "line 2, key 'workers': invalid value"),
        ("[example]\nworkers = 2\n[example]\n", "line 3"),
        ("[other]\nworkers = 1\n[example]\nworkers = 1.5\n", "line 4: [example] workers"),
    ],
    ids=["type", "unknown", "not-a-table", "syntax", "twice", "same-key-elsewhere"],
)
def test_wrong_file_names_line_and_key(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(tmp_path, text).section("example", Example)
    assert f"{tmp_path / 'config.toml'}, {expected}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"[example]\nworkers = \xff\n")
    with pytest.raises(SettingsError, match="line 2: not UTF-8"):
        Settings(tmp_path, environ={}).section("example", Example)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    text = '[example]\napi_token = "hunter2"\n'
    assert settings_of(tmp_path, text).section("example", Example).api_token.reveal() == "hunter2"
    with pytest.raises(SettingsError, match=r"\[example\] api_token and others can read it; chmod 600") as caught:
        settings_of(tmp_path, text, mode=0o644).section("example", Example)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("line", ["api_token = 4711", "api_token = ['4711']", "api_token = 'x'\n4711", "4711"])
def test_a_secret_that_is_written_wrongly_is_not_told(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError, match=r"config.toml, line [23]:") as caught:
        settings_of(tmp_path, f"[example]\n{line}\n").section("example", Example)
    assert "4711" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize(
    "text", ["[presets.low_key]\noperations = []\n", "[example]\nsecret_count = 3\n"], ids=["table", "number"]
)
def test_only_texts_are_secrets(tmp_path: Path, text: str) -> None:
    assert settings_of(tmp_path, text, mode=0o644).document


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[example]\nworkers = 'two'\n", "line 2: [example] workers: expected"),
        ("[example]\nworkers = = 2\n", "line 2, key 'workers'"),
        ("example = 3\n", "line 1: [example] must be a table"),
    ],
    ids=["type", "syntax", "first-line"],
)
def test_byte_order_mark_shifts_no_line(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xef\xbb\xbf[example]\r\nworkers = 7\r\n")
    assert Settings(tmp_path, environ={}).section("example", Example).workers == 7
    (tmp_path / "config.toml").write_text(text, encoding="utf-8-sig")
    with pytest.raises(SettingsError) as caught:
        Settings(tmp_path, environ={}, keyring=no_keyring).section("example", Example)
    assert f"config.toml, {expected}" in str(caught.value)


def test_keyring_is_asked_for_secrets_alone_and_after_the_environment(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def keyring(section: str, key: str) -> None:
        asked.append((section, key))

    settings = Settings(tmp_path, environ={}, keyring=keyring)
    assert settings.section("example", Example) is settings.section("example", Example)
    assert asked == [("example", "api_token")]
    asked.clear()
    Settings(tmp_path, environ={"STEMBRIDGE_EXAMPLE_API_TOKEN": "x"}, keyring=keyring).section("example", Example)
    assert asked == []


def test_folder_of_an_unknown_user_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"line 2: .*no such user"):
        settings_of(tmp_path, "[example]\nfolder = '~nobody-here/x'\n").section("example", Example)


def test_place_of_a_value_is_where_it_was_written(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "\n[example]\nworkers = 5\n", STEMBRIDGE_EXAMPLE_FAST="yes")
    assert settings.place_of("example", "fast") == "STEMBRIDGE_EXAMPLE_FAST"
    assert settings.place_of("example", "workers") == f"{tmp_path / 'config.toml'}, line 3: [example] workers"
    assert settings.place_of("example", "folder") == "the default of [example] folder"


NUMBERS = [
    (kind, field) for kind in find_sections() for field in msgspec.structs.fields(kind) if numbers_in(field.type)
]


def test_the_numbers_of_every_part_are_found() -> None:
    found = {(kind.__name__, field.name) for kind, field in NUMBERS}
    assert {("JobsSettings", "lease_seconds"), ("LocalSettings", "workers"), ("LocalSettings", "nice")} <= found
    assert {("MediaxSettings", "timeout"), ("WatchSettings", "at_once"), ("ReaperSettings", "handles")} <= found
    assert len(found) > 30


@pytest.mark.parametrize(("kind", "field"), NUMBERS, ids=lambda each: getattr(each, "name", None) or each.__name__)
def test_every_number_in_the_settings_has_bounds(kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> None:
    for number in numbers_in(field.type):
        (bounds,) = (each for each in getattr(number, "__metadata__", ()) if isinstance(each, msgspec.Meta))
        assert bounds.ge is not None or bounds.gt is not None
        assert bounds.le is not None or bounds.lt is not None


@pytest.mark.parametrize("value", ["0", "-5", "nan", "inf", "1e9"])
@pytest.mark.parametrize("place", ["file", "environment"])
def test_lease_seconds_out_of_bounds_names_key_value_and_bounds(tmp_path: Path, value: str, place: str) -> None:
    if place == "file":
        settings = settings_of(tmp_path, f"[jobs]\nlease_seconds = {value}\n")
        where = "line 2: [jobs] lease_seconds: "
    else:
        settings = settings_of(tmp_path, STEMBRIDGE_JOBS_LEASE_SECONDS=value)
        where = "STEMBRIDGE_JOBS_LEASE_SECONDS: "
    with pytest.raises(SettingsError) as caught:
        settings.section("jobs", JobsSettings)
    assert where in caught.value.message
    assert caught.value.message.endswith(f", not {float(value):g} (allowed: from 1 to 3600)")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_number_without_bounds_is_finite(tmp_path: Path, value: str) -> None:
    class Tone(msgspec.Struct, frozen=True):
        gain: float = 0.5

    with pytest.raises(SettingsError, match=r"line 2: \[tone\] gain: expected a finite number"):
        settings_of(tmp_path, f"[tone]\ngain = {value}\n").section("tone", Tone)
    with pytest.raises(SettingsError, match="STEMBRIDGE_TONE_GAIN: expected a finite number"):
        settings_of(tmp_path, STEMBRIDGE_TONE_GAIN=value).section("tone", Tone)


def test_sections_that_were_read_are_known(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert settings.asked == {}
    settings.section("example", Example)
    assert settings.asked == {"example": Example}


def test_secret_never_shows_itself() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {secret:>20} {[secret]} {Example(api_token=secret)}"
    assert secret.reveal() == "hunter2"


@pytest.mark.parametrize("name", ["api_token", "secret_key", "secret_id", "password", "token", "client_secret"])
def test_secret_names_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["workers", "template", "monkey", "keyboard", "block_seconds"])
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_home_comes_from_the_environment(tmp_path: Path) -> None:
    assert Settings(environ={"STEMBRIDGE_HOME": str(tmp_path)}).home == tmp_path
    assert Settings(environ={}).home.name == "stembridge"


def test_a_secret_of_a_secret_is_the_same_text() -> None:
    again = Secret(Secret("abc"))
    assert (again.reveal(), str(again), type(again)) == ("abc", "********", Secret)
    assert Secret().reveal() == ""
