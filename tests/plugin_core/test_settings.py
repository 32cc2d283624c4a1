"""Settings: the order of places, typed values, and errors that name file, line and key."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import ExitCode, SettingsError
from plugin_core.settings import Secret, Settings, is_secret_name, no_keyring


class Example(msgspec.Struct, frozen=True):
    """A section as a plugin would declare it."""

    workers: int = 2
    fast: bool = False
    ignore: tuple[str, ...] = ()
    folder: Path | None = None
    api_token: Secret = Secret("")


def settings_of(home: Path, text: str = "", mode: int = 0o600, **environ: str) -> Settings:
    (home / "config.toml").write_text(text)
    (home / "config.toml").chmod(mode)
    return Settings(home, environ=environ, keyring=no_keyring)


def test_defaults_without_a_file(tmp_path: Path) -> None:
    assert Settings(tmp_path / "none", environ={}).section("example", Example) == Example()


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

    Settings(tmp_path, environ={}, keyring=keyring).section("example", Example)
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


def test_sections_that_were_read_are_known(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert settings.asked == frozenset()
    settings.section("example", Example)
    assert settings.asked == {"example"}


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
