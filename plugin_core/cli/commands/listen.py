"""``stembridge listen``: services call when a job ended, and it is looked at once instead of at the next look."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from plugin_core.abilities import HasCallbacks
from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.interrupt import stop_on_signals
from plugin_core.console.json_lines import write_record
from plugin_core.console.options import JSON_OPTION
from plugin_core.console.phrases import plural
from plugin_core.errors import SettingsError, UsageError, install_hint

if TYPE_CHECKING:
    import socket

    from plugin_core.callbacks import Paths
    from plugin_core.session import Session

DEFAULT = "127.0.0.1:8717"
INSTALL = install_hint("listen")


def read_address(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, int]:
    """Turn "127.0.0.1:8717" or "[::1]:8717" into host and port."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]+):(\d{1,5})", value)
    if found is None or int(found[2]) > 65535:
        raise click.BadParameter(f"{value!r} is no address such as {DEFAULT}", ctx, param)
    return found[1].strip("[]"), int(found[2])


def read_public(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """Check the beginning of the addresses that services see."""
    if value is not None and not re.fullmatch(r"https?://[^\s?#/]+(/[^\s?#]*)?", value):
        raise click.BadParameter(f"{value!r} is no address such as https://example.org/hooks", ctx, param)
    return (value or "").rstrip("/")


@examples("stembridge listen --public https://example.org/hooks")
@click.command("listen")
@click.option(
    "--address", default=DEFAULT, show_default=True, metavar="HOST:PORT", callback=read_address, help="Where to listen."
)
@click.option("--public", metavar="URL", callback=read_public, help="What services see of it, for the addresses shown.")
@JSON_OPTION
@click.pass_obj
def command(context: Context, address: tuple[str, int], public: str, as_json: bool) -> int:
    """Hear from services that a job ended.

    Shows one address for each service; give it to the service, or set it as callback_url. A call makes whichever
    process works on the job look at once; what it says is not believed. Put a web server with TLS in front: services
    call from outside. Runs until Ctrl-C.
    """
    with context.session() as session:
        told = _Told(as_json=as_json, is_quiet=context.quiet)
        asyncio.run(_listen(session, address, public, told))
    told.end()
    return 0


class _Told:
    """What is said while listening."""

    def __init__(self, *, as_json: bool, is_quiet: bool) -> None:
        self._as_json = as_json
        self._is_quiet = is_quiet
        self._calls = 0
        self._woken = 0

    def begin(self, urls: dict[str, str]) -> None:
        """Show the addresses, which are secrets between the user and the services."""
        for name, url in urls.items():
            if self._as_json:
                write_record({"event": "listening", "provider": name, "url": url})
            else:
                click.echo(f"{name:<12} {url}")

    def call(self, provider: str, woken: Collection[str]) -> None:
        self._calls += 1
        self._woken += len(woken)
        if self._as_json:
            write_record({"event": "callback", "provider": provider, "jobs": sorted(woken)})
        elif not self._is_quiet:
            click.echo(f"{provider}: {' '.join(sorted(woken)) if woken else 'nothing that waits here'}")

    def warn(self, text: str) -> None:
        """Say what should be known at once."""
        click.echo(f"stembridge: {text}", err=True)

    def end(self) -> None:
        """Sum up."""
        if self._as_json:
            write_record({"event": "summary", "calls": self._calls, "woken": self._woken, "exit_code": 0})
        elif not self._is_quiet:
            click.echo(f"{plural(self._calls, 'call')}, {plural(self._woken, 'job')} woken")


async def _listen(session: Session, address: tuple[str, int], public: str, told: _Told) -> None:
    try:
        from plugin_core.callbacks.server import Receiver, open_socket, serve
        from plugin_core.web_server import show_address
    except ImportError as error:
        raise SettingsError("listening needs starlette and uvicorn, which are not installed", remedy=INSTALL) from error
    from plugin_core.callbacks import Waker, open_paths

    providers = {name: each for name, each in sorted(session.providers.items()) if isinstance(each, HasCallbacks)}
    if not providers:
        raise UsageError("no service of any plugin calls back", remedy="see `stembridge plugins`")
    paths = open_paths(session.settings.home)
    receiver = Receiver(providers, paths, Waker(session.store).wake, told.call)
    listener = open_socket(*address)
    try:
        host, port = address[0], listener.getsockname()[1]
        if not _is_loopback(listener):
            told.warn("this address can be reached from other machines, and what they send is not encrypted")
        stop = asyncio.Event()
        with stop_on_signals(stop, lambda: None):
            told.begin(_urls(providers, paths, public or f"http://{show_address(host, port)}"))
            await serve(receiver.application(), listener, stop)
    finally:
        listener.close()


def _urls(names: Collection[str], paths: Paths, base: str) -> dict[str, str]:
    return {name: f"{base}{paths.of(name)}" for name in names}


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
