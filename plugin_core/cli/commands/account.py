"""``stembridge account`` and ``login``: what the accounts at the services have, and the keys that stand for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path

import click
import msgspec

from plugin_core.abilities import HasAccount, HasLogin
from plugin_core.cli.settings import changing, read_config, write_config
from plugin_core.console.answers import ask_word
from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.json_lines import describe_count, describe_error, write_record
from plugin_core.console.options import JSON_OPTION
from plugin_core.console.phrases import clean
from plugin_core.console.tables import print_wrapped
from plugin_core.errors import ExitCode, SettingsError, StembridgeError, UsageError, blame
from plugin_core.model import AccountState, Question, amount
from plugin_core.session import Session
from plugin_core.settings import Secret, Settings

Found = dict[str, AccountState | StembridgeError]


@examples("stembridge account mvsep")
@click.command("account")
@click.argument("provider", required=False)
@JSON_OPTION
@click.pass_obj
def command(context: Context, provider: str | None, as_json: bool) -> int:
    """Show what an account has: plan, credits, queue and limits. Default: every account that can be asked about."""
    with context.session() as session:
        found = asyncio.run(_ask_each(session, _choose(session, provider)))
    codes = [error.exit_code for error in found.values() if isinstance(error, StembridgeError)]
    code = int(max(codes, default=ExitCode.DONE))
    for name, state in found.items():
        if as_json:
            write_record(_describe(name, state))
        else:
            _show(name, state)
    if as_json:
        write_record(describe_count(len(found), code))
    return code


def _choose(session: Session, name: str | None) -> list[str]:
    if name is None:
        names = sorted(name for name, each in session.providers.items() if isinstance(each, HasAccount))
        if not names:
            if broken := next(iter(session.plugins.failures.values()), None):
                raise broken
            raise UsageError("no provider has accounts", remedy="`stembridge plugins` lists what is installed")
        return names
    if not isinstance(session.registry.provider(name), HasAccount):
        raise UsageError(
            f"{name} tells nothing about accounts", remedy="`stembridge doctor` tries the keys that are set"
        )
    return [name]


async def _ask_each(session: Session, names: list[str]) -> Found:
    found: Found = {}
    for name in names:
        provider = session.registry.provider(name)
        assert isinstance(provider, HasAccount)
        try:
            with blame(name):
                found[name] = await provider.account_state()
        except StembridgeError as error:
            found[name] = error
    return found


def _describe(name: str, state: AccountState | StembridgeError) -> dict[str, object]:
    if isinstance(state, StembridgeError):
        return describe_error(None, state) | {"provider": name}
    return {"event": "account", "provider": name} | msgspec.structs.asdict(state)


def _show(name: str, state: AccountState | StembridgeError) -> None:
    if isinstance(state, StembridgeError):
        click.echo(f"stembridge: {name}: {clean(str(state))}", err=True)
        return
    lines = {"plan": state.plan}
    if state.credits is not None:
        lines["credits"] = amount(state.credits)
    if state.slots is not None:
        lines["jobs at once"] = str(state.slots)
    click.echo(name)
    shown = {clean(label): clean(text) for label, text in {**lines, **state.details}.items()}
    width = max(map(len, shown))
    for label, text in shown.items():
        print_wrapped(f"  {label:<{width}}  ", text)


SERVICE = "stembridge"

Keep = Callable[[str, str, str], bool]
"""Put a secret into a keyring by section and key; tell whether there is one that took it."""


def keep_in_keyring(section: str, key: str, text: str) -> bool:
    """Put a secret into the system's keyring, if the extra ``keyring`` is installed and a keyring answers."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return False
    try:
        keyring.set_password(SERVICE, f"{section}.{key}", text)
        # One that is switched off takes everything and keeps nothing.
        return keyring.get_password(SERVICE, f"{section}.{key}") == text
    except keyring.errors.KeyringError:
        # Headless machines have no keyring service; the caller has another place.
        return False


def keep_secrets(settings: Settings, section: str, values: Mapping[str, Secret], keep: Keep = keep_in_keyring) -> str:
    """Keep the secrets of one section together and return the place, for people.

    Args:
        settings: whose config.toml is used where there is no keyring.
        section: the settings section.
        values: secrets by key.
        keep: the keyring.

    Raises:
        SettingsError: config.toml cannot be written or is no TOML.
    """
    path = settings.config_path
    if values and all(keep(section, key, value.reveal()) for key, value in values.items()):
        if path.exists():
            with changing(path):
                _forget_in_file(path, section, values)
        return "the system's keyring"
    with changing(path):
        write_secrets(path, section, values)
    return str(path)


def write_secrets(path: Path, section: str, values: Mapping[str, Secret]) -> None:
    """Set keys of a section in a settings file, everything else kept as it stands.

    Raises:
        SettingsError: it cannot be written or is no TOML.
    """
    document = read_config(path)
    table = document.setdefault(section, {})
    if not isinstance(table, MutableMapping):
        raise SettingsError(f"{path}: [{section}] must be a table", remedy="correct the settings file")
    for key, value in values.items():
        table[key] = value.reveal()
    write_config(path, document)


def _forget_in_file(path: Path, section: str, values: Mapping[str, Secret]) -> None:
    """Remove older values, which nobody would look for there once the keyring has the new ones."""
    document = read_config(path)
    table = document.get(section)
    if not isinstance(table, MutableMapping):
        return
    stale = [key for key in values if key in table]
    for key in stale:
        del table[key]
    if stale:
        write_config(path, document)


ASK = "-"


@examples("stembridge login mvsep", "pass show mvsep | stembridge login mvsep --token")
@click.command("login")
@click.argument("provider", required=False)
@click.option(
    "--token",
    metavar="[TOKEN]",
    is_flag=False,
    flag_value=ASK,
    help="Use an API token instead of a password; without a value it is asked for, or read from a pipe.",
)
@JSON_OPTION
@click.pass_obj
def login(context: Context, provider: str | None, token: str | None, as_json: bool) -> int:
    """Give stembridge the keys of an account.

    They are tried out, then kept in the system's keyring, or in config.toml where there is none.
    """
    with context.session() as session:
        if provider is None:
            raise UsageError("name a provider", remedy=_describe_others(session))
        enrolled = session.registry.provider(provider)
        if not isinstance(enrolled, HasLogin):
            raise UsageError(f"{provider} has no login of its own", remedy=_describe_others(session))
        answers = _ask_token(enrolled, provider, token) if token else _ask_all(enrolled)
        with blame(provider):
            kept = asyncio.run(enrolled.login(answers))
        place = keep_secrets(context.settings, enrolled.section, kept)
    if as_json:
        write_record({"event": "login", "provider": provider, "kept": place, "exit_code": 0})
        write_record(describe_count(1, ExitCode.DONE))
    elif not context.quiet:
        click.echo(f"{provider}: kept in {place}")
        click.echo(clean(f"next: stembridge {f'account {provider}' if isinstance(enrolled, HasAccount) else 'doctor'}"))
    return 0


def _describe_others(session: Session) -> str:
    names = sorted(name for name, each in session.providers.items() if isinstance(each, HasLogin))
    return f"`stembridge login` knows {', '.join(names)}" if names else "no provider has one"


def _ask_token(enrolled: HasLogin, provider: str, token: str) -> dict[str, Secret]:
    if not enrolled.token:
        raise UsageError(f"{provider} has no token", remedy=f"`stembridge login {provider}` asks for what it needs")
    if token == ASK:
        return {enrolled.token: _ask(Question(name=enrolled.token, text="API token"))}
    click.echo(
        "stembridge: other users of this machine can read what stands in a command line; next time end it with --token",
        err=True,
    )
    return {enrolled.token: Secret(token)}


def _ask_all(enrolled: HasLogin) -> dict[str, Secret]:
    return {question.name: _ask(question) for question in enrolled.questions}


def _ask(question: Question) -> Secret:
    return Secret(ask_word(question.text, is_secret=question.hidden).strip())
