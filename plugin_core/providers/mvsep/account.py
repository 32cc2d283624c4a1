"""One account: its login, what it may do (asked of the service and believed for a moment), and whether all is well."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from plugin_core.errors import RefusedError, StembridgeError, UsageError
from plugin_core.model import AccountState, Finding, Question, Verdict
from plugin_core.providers.mvsep.account_calls import AccountCalls, QueueState, User
from plugin_core.providers.mvsep.caller import BASE_URL, NAME, MvsepSettings
from plugin_core.providers.mvsep.catalogue import Catalogue
from plugin_core.settings import Secret

BELIEVED: Final = 60.0
"""Seconds an answer counts."""

LOGIN: Final = "`stembridge login mvsep`"
FREE_SLOTS: Final = 1

UNKNOWN: Final = User(premium_enabled=True)
"""Of whom the service says nothing now: what was bought before may be what premium alone has."""

_log = logging.getLogger(__name__)


class Account:
    """One account at the service, or none.

    Args:
        client: asks the service.
        token: of the account; empty for none.
        premium_slots: jobs alive at once with premium.
        clock: seconds since the epoch.
    """

    def __init__(
        self, client: AccountCalls, token: Secret, *, premium_slots: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._token = token
        self._premium_slots = premium_slots
        self._clock = clock
        self._user: User | None = None
        self._user_asked = 0.0
        self._queue: QueueState | None = None
        self._queue_asked = 0.0

    @property
    def name(self) -> str:
        """Name of the account for counting its jobs: a fingerprint tells nothing of the token."""
        if not self._token:
            return NAME
        return f"{NAME}:{hashlib.sha256(b'stembridge mvsep ' + self._token.reveal().encode()).hexdigest()[:12]}"

    def require_token(self) -> None:
        """Make sure there is an account.

        Raises:
            RefusedError: there is none.
        """
        if not self._token:
            raise RefusedError("MVSEP needs an account, and no API token is set", remedy=f"use {LOGIN}")

    async def user(self) -> User:
        """Return the account, asked within the last minute.

        Raises:
            RefusedError: there is none, or the service does not accept its token.
            TransientError: the service does not answer.
        """
        self.require_token()
        if self._user is None or not self._is_fresh(self._user_asked):
            self._user = await self._client.user()
            self._user_asked = self._clock()
        return self._user

    async def require_quota(self) -> None:
        """Make sure that a free account may make a job today, as far as the service tells.

        Raises:
            RefusedError: there is none left.
        """
        if is_premium(await self.user()):
            return
        if self._queue is None or not self._is_fresh(self._queue_asked):
            try:
                self._queue = await self._client.queue()
            except StembridgeError as error:
                # The service itself says it at the upload, if so.
                _log.info("the quota of today is unknown: %s", error)
                return
            self._queue_asked = self._clock()
        if self._queue.free_left is not None and self._queue.free_left <= 0:
            raise RefusedError(
                f"MVSEP's {_count(self._queue.free_max)}free separations of today are used up",
                remedy="try again tomorrow, or with premium",
            )

    def _is_fresh(self, asked: float) -> bool:
        # An answer from the future is one of a clock that was wrong.
        return 0 <= self._clock() - asked < BELIEVED

    def forget(self) -> None:
        """Ask anew next time: something was spent."""
        self._user = None
        self._queue = None

    async def slots(self) -> int:
        """Return how many jobs may be alive at once; one where the service does not say."""
        return self._slots_of(await self.user())

    def _slots_of(self, user: User) -> int:
        return self._premium_slots if is_premium(user) else FREE_SLOTS

    async def state(self) -> AccountState:
        """Return what ``stembridge account`` shows.

        Raises:
            RefusedError: there is no account, or the service does not accept its token.
            TransientError: the service does not answer.
        """
        self.forget()
        user = await self.user()
        details = {
            "name": user.name,
            "e-mail": user.email,
            "premium": "on" if user.premium_enabled else "off",
            "long filenames": _words(user.long_filenames_enabled),
            "jobs in the queue": str(len(user.current_queue)),
        }
        try:
            details |= describe_queue(await self._client.queue())
        except StembridgeError as error:
            details["queue"] = f"unknown: {error.message}"
        return AccountState(
            plan="premium" if is_premium(user) else "free",
            credits=user.premium_minutes,
            slots=self._slots_of(user),
            details={name: text for name, text in details.items() if text},
        )


def is_premium(user: User) -> bool:
    """Tell whether the account's jobs are paid with credits: premium is on, and there are some."""
    return user.premium_enabled and user.premium_minutes != 0


def describe_queue(queue: QueueState) -> dict[str, str]:
    """Return what the queue means, by name for people."""
    left = "" if queue.free_left is None else str(queue.free_left)
    if left and queue.free_max is not None:
        left += f" of {queue.free_max}"
    waiting = {"premium": queue.premium, "registered": queue.registered, "unregistered": queue.unregistered}
    return {
        "separations left today": left,
        "queue": ", ".join(f"{count} {name}" for name, count in waiting.items() if count is not None),
    }


def _count(number: int | None) -> str:
    return "" if number is None else f"{number} "


def _words(flag: bool | None) -> str:
    return "" if flag is None else "on" if flag else "off"


TOKEN: Final = "api_token"  # noqa: S105 - the name of a setting
TOKEN_LENGTH: Final = 30
"""Characters that tokens have had so far."""

QUESTIONS: Final = (
    Question(name="email", text="E-mail of your account at mvsep.com", hidden=False),
    Question(name="password", text="Password"),
)


async def login(client_with: Callable[[Secret], AccountCalls], answers: Mapping[str, Secret]) -> Mapping[str, Secret]:
    """Return the token of an account as the setting to keep.

    Args:
        client_with: makes a client with a token, or with none.
        answers: ``email`` and ``password``, or ``api_token`` alone, which is tried out.

    Raises:
        UsageError: an answer is missing.
        RefusedError: the service does not accept them, or keeps the token to itself.
        TransientError: it does not answer.
    """
    token = Secret(answers.get(TOKEN, Secret("")).reveal().strip()) or await _ask_token(client_with, answers)
    # Only a token that the service takes is kept, whatever else it answered.
    await client_with(token).user()
    return {TOKEN: token}


async def _ask_token(client_with: Callable[[Secret], AccountCalls], answers: Mapping[str, Secret]) -> Secret:
    email, password = answers.get("email", Secret("")), answers.get("password", Secret(""))
    if not email or not password:
        raise UsageError("MVSEP wants an e-mail address and a password", remedy="or give the API token: --token")
    user = await client_with(Secret("")).login(email.reveal().strip(), password)
    if not user.api_token:
        raise RefusedError(
            "MVSEP accepts the password and does not tell the API token",
            remedy="copy it from https://mvsep.com/user-api and use `stembridge login mvsep --token`",
        )
    return user.api_token


async def examine(account: Account, catalogue: Catalogue, settings: MvsepSettings) -> Sequence[Finding]:
    """Return what ``stembridge doctor`` says; without an account nothing is asked of the service."""
    if not settings.api_token:
        return [Finding(name=NAME, verdict=Verdict.OK, found="no account is set up", remedy=f"to have one: {LOGIN}")]
    findings = [await _examine_account(account, settings)]
    listing = await catalogue.listing()
    verdict = Verdict.WARNING if listing.note else Verdict.OK
    findings.append(
        Finding(name=f"{NAME} models", verdict=verdict, found=listing.note or f"{len(listing.algorithms)} models")
    )
    if len(settings.api_token.reveal()) != TOKEN_LENGTH:
        found = f"the API token has not the usual {TOKEN_LENGTH} characters"
        findings.append(
            Finding(name=f"{NAME} token", verdict=Verdict.WARNING, found=found, remedy=f"if refused: {LOGIN}")
        )
    return findings


async def _examine_account(account: Account, settings: MvsepSettings) -> Finding:
    try:
        user = await account.user()
    except StembridgeError as error:
        return Finding(name=NAME, verdict=Verdict.WRONG, found=error.message, remedy=error.remedy)
    plan = "premium" if is_premium(user) else "free"
    balance = "" if user.premium_minutes is None else f", {user.premium_minutes:g} credits"
    where = "" if settings.base_url == BASE_URL else f", at {settings.base_url}"
    return Finding(name=NAME, verdict=Verdict.OK, found=f"{plan} account{balance}{where}")
