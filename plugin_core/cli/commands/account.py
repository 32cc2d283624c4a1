"""``stembridge account``: what the accounts at the services have and may do."""

from __future__ import annotations

import asyncio

import click
import msgspec

from plugin_core.abilities import HasAccount
from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.json_lines import describe_count, describe_error, write_record
from plugin_core.console.options import JSON_OPTION
from plugin_core.console.phrases import clean
from plugin_core.console.tables import print_wrapped
from plugin_core.errors import ExitCode, StembridgeError, UsageError, blame
from plugin_core.model import AccountState, amount
from plugin_core.session import Session

Found = dict[str, AccountState | StembridgeError]


@examples("stembridge account mvsep")
@click.command("account")
@click.argument("provider", required=False)
@JSON_OPTION
@click.pass_obj
def command(context: Context, provider: str | None, as_json: bool) -> int:
    """Show what an account has: plan, credits, queue and limits. Default: every account that can be asked about."""
    with context.session() as session:
        found = asyncio.run(_ask(session, _choose(session, provider)))
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


async def _ask(session: Session, names: list[str]) -> Found:
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
