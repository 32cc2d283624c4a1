"""The endpoints below ``app/``: the account, its past, and what the service offers and has to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from plugin_core.errors import RefusedError, ServiceError, TransientError
from plugin_core.providers.mvsep.caller import Caller, page
from plugin_core.providers.mvsep.loose_json import as_flag, as_list, as_mapping, as_text, read, read_all, read_words
from plugin_core.settings import Secret


class QueuedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job of this account that is not finished; the service promises no more than the hash."""

    hash: str = ""
    created_at: str = ""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account."""

    name: str = ""
    email: str = ""
    api_token: Secret = Secret("")
    """Empty when the service keeps it to itself, which it may do even after a login."""
    premium_minutes: float | None = None
    """The credits left."""
    premium_enabled: bool = False
    long_filenames_enabled: bool | None = None
    copy_metadata: bool | None = None
    current_queue: tuple[QueuedJob, ...] = ()


class UsedAlgorithm(msgspec.Struct, frozen=True, kw_only=True):
    """The model a past job used."""

    name: str = ""
    render_id: int | None = None
    group: str = ""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One job of this account, newest first in the service's list."""

    id: int | None = None
    hash: str = ""
    created_at: str = ""
    job_exists: bool | None = None
    credits: float | None = None
    time_left: float | None = None
    """Hours until its files go; negative when they should be gone."""
    algorithm: UsedAlgorithm = UsedAlgorithm()


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """How busy the service is, and this account's place in it."""

    in_process: int | None = None
    premium: int | None = None
    registered: int | None = None
    unregistered: int | None = None
    plan: str = ""
    """The plan of the account asked for: ``free``, ``registered``, ``premium``, ..."""
    plan_queue: int | None = None
    free_left: int | None = None
    """Free separations left today."""
    free_max: int | None = None


class QueueSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs ahead of this account and the wait they mean."""

    ahead: int | None = None
    estimated_wait_seconds: float | None = None


class NewsItem(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of news; ``text`` is HTML from outside."""

    id: int | None = None
    title: str = ""
    lang: str = ""
    text: str = ""
    created_at: str = ""


class DemoEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One published separation."""

    hash: str = ""
    date: str = ""
    input_audio: str = ""
    size: str = ""
    algorithm: UsedAlgorithm = UsedAlgorithm()


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """That something was done, in the service's words."""

    success: bool | None = None
    message: str = ""


def parse_notice(payload: object) -> Notice:
    """Read an answer that says only how it went."""
    return Notice(success=as_flag(as_mapping(payload).get("success")), message="; ".join(read_words(payload)))


def parse_user(payload: object) -> User:
    """Read an account; ``current_queue`` may be an object, null, or jobs named by their hash alone."""
    data = _inner(payload)
    user = read(User, data)
    items = [{"hash": item} if isinstance(item, str) else item for item in as_list(data.get("current_queue"))]
    return msgspec.structs.replace(user, current_queue=read_all(QueuedJob, items))


def parse_history(payload: object) -> tuple[HistoryEntry, ...]:
    """Read a page of past jobs."""
    return tuple(
        msgspec.structs.replace(read(HistoryEntry, item), algorithm=_parse_used(item)) for item in list_of(payload)
    )


def parse_demo(payload: object) -> tuple[DemoEntry, ...]:
    """Read a page of published separations."""
    return tuple(
        msgspec.structs.replace(read(DemoEntry, item), algorithm=_parse_used(item)) for item in list_of(payload)
    )


def parse_news(payload: object) -> tuple[NewsItem, ...]:
    """Read a page of news."""
    return read_all(NewsItem, list_of(payload))


def parse_queue(payload: object) -> QueueState:
    """Read the state of the queue in either shape (``plan`` or ``current``)."""
    body = _inner(payload)
    plan = as_mapping(body.get("plan") or body.get("current"))
    free = as_mapping(body.get("free_separations"))
    return msgspec.structs.replace(
        read(QueueState, as_mapping(body.get("queue"))),
        plan=as_text(plan.get("plan")) or as_text(body.get("plan")).strip("{}[]"),
        plan_queue=read(_Queue, plan).queue,
        free_left=read(_Free, free).left,
        free_max=read(_Free, free).max,
    )


def parse_summary(payload: object) -> QueueSummary:
    """Read the wait, below ``data`` or at the top level."""
    return read(QueueSummary, _inner(payload))


def list_of(payload: object) -> list[dict[str, Any]]:
    """Return the objects of a list that is bare or below ``data``."""
    if isinstance(payload, dict):
        payload = payload.get("data")
    return [item for item in as_list(payload) if isinstance(item, dict)]


class _Queue(msgspec.Struct, frozen=True, kw_only=True):
    queue: int | None = None


class _Free(msgspec.Struct, frozen=True, kw_only=True):
    left: int | None = None
    max: int | None = None


def _inner(payload: object) -> dict[str, Any]:
    body = as_mapping(payload)
    return as_mapping(body.get("data")) or body


def _parse_used(item: dict[str, Any]) -> UsedAlgorithm:
    raw = as_mapping(item.get("algorithm"))
    group = as_text(as_mapping(raw.get("algorithm_group")).get("name"))
    name = as_text(item.get("algorithm")) if not raw else ""
    used = read(UsedAlgorithm, raw)
    return msgspec.structs.replace(used, group=group or used.group, name=used.name or name)


SCOPES: Final = ("single_upload", "no_upload", "matchering_upload")
_WAY: Final = "try again later, and check [mvsep] base_url"


class AccountCalls(Caller):
    """The account, its past, and what the service offers and has to say."""

    async def algorithms(self) -> list[dict[str, Any]]:
        """Return the models of every scope as sent; ``catalogue.read_algorithms`` types them.

        Raises:
            ServiceError: the answer holds no models.
        """
        models = list_of(await self._get("app/algorithms", {"scopes": ",".join(SCOPES)}))
        if not models:
            raise ServiceError("MVSEP app/algorithms: the answer holds no models")
        return models

    async def news(self, *, lang: str = "en", start: int = 0, limit: int = 10) -> tuple[NewsItem, ...]:
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
        """Ask about this account."""
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
    if parse_notice(payload).success is not True or not (user.name or user.email):
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
