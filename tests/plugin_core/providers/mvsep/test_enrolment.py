from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import RefusedError, StembridgeError, TransientError, UsageError
from plugin_core.model import Verdict
from plugin_core.providers.mvsep.account import Account, examine, login
from plugin_core.providers.mvsep.catalogue import Catalogue
from plugin_core.providers.mvsep.settings import BASE_URL, MvsepSettings
from plugin_core.settings import Secret
from tests.plugin_core.providers.mvsep.fakes import FREE, TOKEN, FakeClient

KNOWN = msgspec.structs.replace(FREE, api_token=TOKEN)
ANSWERS = {"email": Secret(" a@b.example "), "password": Secret(" pass ")}


def log_in(client: FakeClient, answers: Mapping[str, Secret]) -> dict[str, str]:
    used: list[str] = []

    def client_with(token: Secret) -> FakeClient:
        used.append(token.reveal())
        return client

    kept = asyncio.run(login(client_with, answers))
    assert used == [answers["api_token"].reveal().strip() if "api_token" in answers else ""]
    return {name: value.reveal() for name, value in kept.items()}


def test_password_gives_the_token() -> None:
    client = FakeClient(KNOWN)
    assert log_in(client, ANSWERS) == {"api_token": TOKEN.reveal()}
    ((name, asked),) = client.asked
    assert (name, asked["email"], asked["password"].reveal()) == ("login", "a@b.example", " pass ")


def test_token_is_tried_out() -> None:
    client = FakeClient()
    assert log_in(client, {"api_token": Secret(" t \n")}) == {"api_token": "t"}
    assert client.names() == ["user"]
    client.failing["user"] = RefusedError("Invalid API key")
    with pytest.raises(RefusedError, match="Invalid API key"):
        log_in(client, {"api_token": TOKEN})


def test_service_that_keeps_the_token_to_itself() -> None:
    with pytest.raises(RefusedError, match="user-api"):
        log_in(FakeClient(FREE), ANSWERS)


@pytest.mark.parametrize("answers", [{}, {"email": Secret("a")}, {"password": Secret("b")}])
def test_missing_answers(answers: Mapping[str, Secret]) -> None:
    with pytest.raises(UsageError, match="password"):
        log_in(FakeClient(KNOWN), answers)


def look(client: FakeClient, home: Path, settings: MvsepSettings) -> list[tuple[str, Verdict, str]]:
    account = Account(client, settings.api_token, premium_slots=settings.slots)
    catalogue = Catalogue(client.algorithms, home, base_url=settings.base_url)
    return [(one.name, one.verdict, one.found) for one in asyncio.run(examine(account, catalogue, settings))]


def test_all_well(home: Path) -> None:
    found = look(FakeClient(), home, MvsepSettings(api_token=TOKEN))
    assert found == [
        ("mvsep", Verdict.OK, "free account, 0 credits"),
        ("mvsep models", Verdict.OK, "117 models"),
    ]


def test_no_account_is_no_fault_and_asks_nobody(home: Path) -> None:
    client = FakeClient()
    ((_, verdict, found),) = look(client, home, MvsepSettings())
    assert (verdict, found, client.asked) == (Verdict.OK, "no account is set up", [])


@pytest.mark.parametrize("error", [RefusedError("Invalid API key"), TransientError("no network")])
def test_what_is_wrong(home: Path, error: StembridgeError) -> None:
    client = FakeClient()
    client.failing = {"user": error, "algorithms": error}
    found = look(client, home, MvsepSettings(api_token=Secret("short"), base_url=BASE_URL))
    assert [verdict for _, verdict, _ in found] == [Verdict.WRONG, Verdict.WARNING, Verdict.WARNING]
    assert error.message in found[0][2]
    assert "short" not in repr(found)
