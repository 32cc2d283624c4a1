"""Getting an account's token, and looking whether all is well with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from plugin_core.errors import RefusedError, StembridgeError, UsageError
from plugin_core.model import Finding, Question, Verdict
from plugin_core.providers.mvsep.account import LOGIN, Account, is_premium
from plugin_core.providers.mvsep.account_calls import User
from plugin_core.providers.mvsep.catalogue import Catalogue
from plugin_core.providers.mvsep.settings import BASE_URL, NAME, MvsepSettings
from plugin_core.settings import Secret

TOKEN: Final = "api_token"  # noqa: S105 - the name of a setting
TOKEN_LENGTH: Final = 30
"""Characters that tokens have had so far."""

QUESTIONS: Final = (
    Question(name="email", text="E-mail of your account at mvsep.com", hidden=False),
    Question(name="password", text="Password"),
)


class Enrolling(Protocol):
    """What of the client a login needs."""

    async def login(self, email: str, password: Secret) -> User:
        """Ask for the account of an address."""
        ...

    async def user(self) -> User:
        """Ask about the account of the token."""
        ...


async def login(client_with: Callable[[Secret], Enrolling], answers: Mapping[str, Secret]) -> Mapping[str, Secret]:
    """Return the token of an account as the setting to keep.

    Args:
        client_with: makes a client with a token, or with none.
        answers: ``email`` and ``password``, or ``api_token`` alone, which is tried out.

    Raises:
        UsageError: an answer is missing.
        RefusedError: the service does not accept them, or keeps the token to itself.
        TransientError: it does not answer.
    """
    token = Secret(answers.get(TOKEN, Secret("")).reveal().strip())
    if token:
        await client_with(token).user()
        return {TOKEN: token}
    email, password = answers.get("email", Secret("")), answers.get("password", Secret(""))
    if not email or not password:
        raise UsageError("MVSEP wants an e-mail address and a password", remedy="or give the API token: --token")
    user = await client_with(Secret("")).login(email.reveal().strip(), password)
    if not user.api_token:
        raise RefusedError(
            "MVSEP accepts the password and does not tell the API token",
            remedy="copy it from https://mvsep.com/user-api and use `stembridge login mvsep --token`",
        )
    return {TOKEN: user.api_token}


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
