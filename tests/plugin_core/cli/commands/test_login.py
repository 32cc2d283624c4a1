"""``stembridge login`` and ``stembridge account``, with the simulated MVSEP, and where secrets are kept."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import msgspec
import pytest

from plugin_core.cli.commands.account import keep_in_keyring, keep_secrets, write_secrets
from plugin_core.errors import SettingsError
from plugin_core.settings import Secret, Settings, no_keyring
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator
from tests.simulators.faults import refuse
from tests.simulators.mvsep import FREE_TOKEN, PREMIUM_TOKEN, MvsepSimulator


class Terminal(io.StringIO):
    """Standard input where somebody can be asked."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


class EnrolledSeparator(FakeSeparator):
    """A provider that wants keys and tells nothing of its account."""

    name, section, token, questions = "enrolled", "enrolled", "key", ()

    async def login(self, answers: Mapping[str, Secret]) -> Mapping[str, Secret]:
        """Take any answer."""
        return answers


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[MvsepSimulator]:
    with MvsepSimulator(audio="echo") as simulator:
        monkeypatch.setenv("STEMBRIDGE_MVSEP_BASE_URL", simulator.api)
        yield simulator


@pytest.fixture
def mvsep(stembridge: Run, service: MvsepSimulator) -> Run:
    from plugin_core.providers.mvsep import plugin

    def call(*arguments: object) -> object:
        points = (FakePoint("mvsep", plugin), FakePoint("enrolled", FakePlugin(EnrolledSeparator())))
        return stembridge(*arguments, points=points)

    return call  # type: ignore[return-value]


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_a_token_from_a_pipe_is_tried_and_kept_for_its_owner(
    mvsep: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, PREMIUM_TOKEN)
    result = mvsep("login", "mvsep", "--token")
    assert (result.code, result.err) == (0, "")
    assert PREMIUM_TOKEN not in result.out
    config = home / "config.toml"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert PREMIUM_TOKEN in config.read_text()
    account = mvsep("account", "mvsep")
    assert (account.code, account.err) == (0, "")
    assert "credits" in account.out


def test_a_refused_token_is_not_kept(mvsep: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, "x" * 30)
    result = mvsep("login", "mvsep", "--token")
    assert result.code == 3
    assert "x" * 30 not in result.out + result.err
    assert not (home / "config.toml").exists()


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"success":true}',
        '"maybe"',
        "[]",
        "null",
        '{"success":"maybe","data":{"name":"n","email":"e@example.org"}}',
        '{"success":true,"data":null}',
        '{"name":"n","email":"e@example.org"}',
        '{"data":{"name":"n","email":"e@example.org"}}',
        '{"success":true,"data":{"premium_minutes":3}}',
        '{"success":true,"data":{"api_token":"' + "y" * 30 + '"}}',
    ],
)
@pytest.mark.parametrize("path", ["user", "login"])
def test_an_account_that_the_service_never_confirmed_is_not_kept(
    mvsep: Run, service: MvsepSimulator, home: Path, monkeypatch: pytest.MonkeyPatch, path: str, body: str
) -> None:
    json_type = {"Content-Type": "application/json"}
    service.faults.add(refuse("*", f"*/app/{path}", 200, body, headers=json_type, times=None))
    type_in(monkeypatch, *([PREMIUM_TOKEN] if path == "user" else ["me@example.org", "pass-word"]))
    result = mvsep("login", "mvsep", *(["--token"] if path == "user" else []))
    assert (result.code, result.out, len(result.err.splitlines())) == (1, "", 1)
    assert f"stembridge: MVSEP app/{path}: the answer is that of no account; try again later" in result.err
    assert not (home / "config.toml").exists()


def test_an_account_is_confirmed_in_every_form_the_service_drifts_to(
    mvsep: Run, service: MvsepSimulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.is_drifting = True
    type_in(monkeypatch, PREMIUM_TOKEN)
    assert mvsep("login", "mvsep", "--token").code == 0
    assert PREMIUM_TOKEN in (home / "config.toml").read_text()


def test_a_token_on_the_command_line_works_and_is_warned_of(mvsep: Run) -> None:
    result = mvsep("login", "mvsep", "--token", FREE_TOKEN)
    assert (result.code, "command line" in result.err) == (0, True)
    assert FREE_TOKEN not in result.out + result.err


def test_without_answers_nobody_waits(mvsep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch)
    result = mvsep("login", "mvsep")
    assert (result.code, len(result.err.splitlines())) == (2, 1)


@pytest.mark.parametrize("command", ["login", "account"])
def test_an_unknown_provider_is_refused_with_a_hint(mvsep: Run, command: str) -> None:
    result = mvsep(command, "mvsepp")
    assert (result.code, "did you mean 'mvsep'?" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("command", "way"),
    [("login", "`stembridge login` knows enrolled, mvsep"), ("account", "`stembridge doctor` tries the keys")],
)
def test_a_provider_without_accounts_says_so_and_who_has_one(mvsep: Run, command: str, way: str) -> None:
    result = mvsep(command, "fake")
    assert (result.code, way in result.err) == (2, True)


@pytest.mark.parametrize("name", ["mvsep", "enrolled"])
def test_login_names_a_next_step_that_works(mvsep: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, PREMIUM_TOKEN)
    words = mvsep("login", name, "--token").out.splitlines()[-1].removeprefix("next: stembridge ").split()
    assert words == (["account", "mvsep"] if name == "mvsep" else ["doctor"])


@pytest.mark.parametrize("words", ["login mvsep", "mvsep register", "mvsep quality delete 1"])
def test_a_question_that_is_interrupted_began_nothing(mvsep: Run, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> str:
        raise click.Abort

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(click, "prompt", interrupt)
    assert mvsep(*words.split())[::2] == (130, "stembridge: nothing was begun\n")


def test_a_broken_settings_file_hides_no_account(mvsep: Run, home: Path) -> None:
    (home / "config.toml").write_text("[mvsep]\napi_token = 3\n")
    result = mvsep("account")
    assert (result.code, "no provider has accounts" in result.err) == (2, False)


def test_accounts_for_programs(mvsep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMBRIDGE_MVSEP_API_TOKEN", PREMIUM_TOKEN)
    (account,) = mvsep("account", "--json").of("account")
    assert (account["provider"], account["slots"] > 1, account["credits"] > 0) == ("mvsep", True, True)


def test_an_account_without_keys_tells_the_way_in(mvsep: Run) -> None:
    result = mvsep("account", "mvsep")
    assert (result.code, "stembridge login mvsep" in result.err) == (3, True)


def test_login_without_a_provider_names_those_there_are(mvsep: Run) -> None:
    result = mvsep("login")
    assert result.code == 2
    assert result.err == "stembridge: name a provider; `stembridge login` knows enrolled, mvsep\n"


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
