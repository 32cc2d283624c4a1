"""The endpoints below ``app/``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from plugin_core.errors import RefusedError, ServiceError, TransientError
from plugin_core.providers.mvsep.answers import (
    DemoEntry,
    HistoryEntry,
    NewsItem,
    Notice,
    QueueState,
    QueueSummary,
    User,
)
from plugin_core.providers.mvsep.answers.account import (
    is_yes,
    list_of,
    parse_demo,
    parse_history,
    parse_news,
    parse_notice,
    parse_queue,
    parse_summary,
    parse_user,
)
from plugin_core.providers.mvsep.caller import Caller, page
from plugin_core.settings import Secret

SCOPES: Final = ("single_upload", "no_upload", "matchering_upload")

_WAY: Final = "try again later, and check [mvsep] base_url"


class AccountCalls(Caller):
    """The account, its past, and what the service offers and has to say."""

    async def algorithms(self, scopes: Collection[str] = SCOPES) -> list[dict[str, Any]]:
        """Return the models of these scopes as sent; ``algorithms.read_algorithms`` types them.

        Raises:
            ServiceError: the answer holds no models.
        """
        models = list_of(await self._get("app/algorithms", {"scopes": ",".join(scopes)}))
        if not models:
            raise ServiceError("MVSEP app/algorithms: the answer holds no models")
        return models

    async def news(self, *, lang: str = "en", start: int = 0, limit: int = 10) -> tuple[NewsItem, ...]:
        """List news."""
        return parse_news(await self._get("app/news", {"lang": lang, **page(start, limit)}))

    async def queue(self) -> QueueState:
        """Ask how busy the service is; with a token also the account's plan."""
        return parse_queue(await self._get("app/queue", {}, with_token=bool(self._token)))

    async def queue_summary(self) -> QueueSummary:
        """Ask how long this account would wait (experimental); asked once, as nothing depends on it."""
        return parse_summary(await self._get("app/queue/summary", {}, with_token=True, once=True))

    async def demo(
        self,
        *,
        start: int = 0,
        limit: int = 10,
        algorithm_id: int | None = None,
        options: Mapping[str, str] | None = None,
    ) -> tuple[DemoEntry, ...]:
        """List published separations; ``algorithm_id`` and ``options`` are experimental."""
        wanted = {} if algorithm_id is None else {"algorithm_id": str(algorithm_id)}
        wanted |= {f"options[{name}]": value for name, value in (options or {}).items()}
        return parse_demo(await self._get("app/demo", {**page(start, limit), **wanted}))

    async def login(self, email: str, password: Secret) -> User:
        """Ask for the account of an address; its token may be missing from the answer.

        Raises:
            RefusedError: wrong address or password.
            TransientError: the answer is that of no account.
        """
        return _account_in("app/login", await self._enter("app/login", {"email": email, "password": password}))

    async def register(self, name: str, email: str, password: Secret) -> Notice:
        """Make an account.

        Raises:
            RefusedError: the service does not take these values.
            ServiceError: it does not say that it did.
        """
        fields = {"name": name, "email": email, "password": password, "password_confirmation": password}
        return _notice_of_success("app/register", await self._enter("app/register", fields))

    async def user(self) -> User:
        """Ask about this account.

        Raises:
            TransientError: the answer is that of no account.
        """
        return _account_in("app/user", await self._get("app/user", {}, with_token=True))

    async def history(self, *, start: int = 0, limit: int = 20) -> tuple[HistoryEntry, ...]:
        """List past jobs of this account, newest first; 20 is the most a page holds."""
        return parse_history(await self._get("app/separation_history", page(start, limit), with_token=True))

    async def set_premium(self, enabled: bool) -> Notice:
        """Spend credits on jobs, or stop doing so.

        Raises:
            ServiceError: the service does not say that it did.
        """
        return await self._switch(f"app/{_verb(enabled)}_premium")

    async def set_long_filenames(self, enabled: bool) -> Notice:
        """Have model and options in the names of results, or not.

        Raises:
            ServiceError: the service does not say that it did.
        """
        return await self._switch(f"app/{_verb(enabled)}_long_filenames")

    async def _switch(self, path: str) -> Notice:
        return _notice_of_success(path, await self._post(path, {}))

    async def _enter(self, path: str, fields: Mapping[str, str]) -> Any:
        try:
            return await self._post(path, fields, with_token=False)
        except ServiceError as error:
            # No token is involved: to log in again is no remedy.
            raise RefusedError(error.message, remedy="check the address and the password") from None


def _account_in(path: str, payload: object) -> User:
    """Return the account that an answer describes: one without a name proves nothing, of its plan least of all."""
    user = parse_user(payload)
    if not is_yes(payload) or not (user.name or user.email):
        raise TransientError(f"MVSEP {path}: the answer is that of no account", remedy=_WAY)
    return user


def _notice_of_success(path: str, payload: object) -> Notice:
    notice = parse_notice(payload)
    if not notice.success:
        said = notice.message or "nothing"
        raise ServiceError(f"MVSEP {path}: the answer does not say that it was done, but {said}", remedy=_WAY)
    return notice


def _verb(enabled: bool) -> str:
    return "enable" if enabled else "disable"
