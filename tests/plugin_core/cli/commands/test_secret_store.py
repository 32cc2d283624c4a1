"""Secrets kept in a keyring or a settings file."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from plugin_core.cli.commands.login import keep_in_keyring, keep_secrets, write_secrets
from plugin_core.errors import SettingsError
from plugin_core.settings import Secret, Settings, no_keyring


class Service(msgspec.Struct, frozen=True):
    """A section with two secrets."""

    token: Secret = Secret("")
    secret_key: Secret = Secret("")
    url: str = ""


def settings_in(home: Path) -> Settings:
    return Settings(home, environ={}, keyring=no_keyring)


def no_keep(_section: str, _key: str, _text: str) -> bool:
    return False


def test_a_keyring_is_preferred_and_an_older_value_leaves_the_file(tmp_path: Path) -> None:
    kept: dict[tuple[str, str], str] = {}

    def keep(section: str, key: str, text: str) -> bool:
        kept[section, key] = text
        return True

    write_secrets(tmp_path / "config.toml", "service", {"token": Secret("old")})
    place = keep_secrets(settings_in(tmp_path), "service", {"token": Secret("new")}, keep)
    assert (place, kept) == ("the system's keyring", {("service", "token"): "new"})
    assert "old" not in (tmp_path / "config.toml").read_text()


def test_without_a_keyring_the_file_holds_it_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    place = keep_secrets(
        settings_in(home), "service", {"token": Secret("s3"), "secret_key": Secret('q"uo\\te')}, no_keep
    )
    assert place == str(home / "config.toml")
    assert stat.S_IMODE((home / "config.toml").stat().st_mode) == 0o600
    found = settings_in(home).section("service", Service)
    assert (found.token.reveal(), found.secret_key.reveal()) == ("s3", 'q"uo\\te')


def test_everything_else_in_the_file_stays(tmp_path: Path) -> None:
    before = '# mine\n[service] # the one\nurl = "https://x.example"  # why\ntoken = "old"\n\n[other]\nkey=1\n'
    path = tmp_path / "config.toml"
    path.write_text(before)
    path.chmod(0o644)
    write_secrets(path, "service", {"token": Secret("new")})
    assert path.read_text() == before.replace("old", "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_linked_file_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("")
    link = tmp_path / "config.toml"
    link.symlink_to(real)
    write_secrets(link, "service", {"token": Secret("new")})
    assert link.is_symlink()
    assert "new" in real.read_text()


def test_a_broken_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[service\n")
    with pytest.raises(SettingsError, match=r"config\.toml"):
        write_secrets(path, "service", {"token": Secret("new")})
    assert path.read_text() == "[service\n"


def test_a_key_where_the_section_should_be_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("service = 1\n")
    with pytest.raises(SettingsError, match="must be a table"):
        write_secrets(path, "service", {"token": Secret("new")})
    assert path.read_text() == "service = 1\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(SettingsError, match=r"cannot be written|cannot be read"):
        write_secrets(tmp_path / "home" / "config.toml", "service", {"token": Secret("new")})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_keyring_that_keeps_nothing_is_none() -> None:
    keyring = pytest.importorskip("keyring")
    null = pytest.importorskip("keyring.backends.null")
    before = keyring.get_keyring()
    keyring.set_keyring(null.Keyring())
    try:
        assert keep_in_keyring("service", "token", "text") is False
    finally:
        keyring.set_keyring(before)
