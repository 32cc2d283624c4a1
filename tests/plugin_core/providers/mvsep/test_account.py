from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import RefusedError, StembridgeError, TransientError, UsageError
from plugin_core.model import Verdict
from plugin_core.providers.mvsep.account import BELIEVED, Account, examine, is_premium, login
from plugin_core.providers.mvsep.account_calls import User
from plugin_core.providers.mvsep.caller import BASE_URL, MvsepSettings
from plugin_core.providers.mvsep.catalogue import Catalogue
from plugin_core.settings import Secret
from tests.plugin_core.providers.mvsep.fakes import FREE, PREMIUM, TOKEN, Clock, FakeClient


def make(user: User = FREE, token: Secret = TOKEN, slots: int = 10) -> tuple[Account, FakeClient, Clock]:
    client, clock = FakeClient(user), Clock()
    return Account(client, token, premium_slots=slots, clock=clock), client, clock


@pytest.mark.parametrize(
    ("user", "slots", "expected"),
    [
        pytest.param(FREE, 10, 1, id="free"),
        pytest.param(PREMIUM, 10, 10, id="premium"),
        pytest.param(PREMIUM, 3, 3, id="setting"),
        pytest.param(msgspec.structs.replace(PREMIUM, premium_minutes=0.0), 10, 1, id="no credits"),
        pytest.param(msgspec.structs.replace(PREMIUM, premium_minutes=None), 10, 10, id="balance not said"),
        pytest.param(msgspec.structs.replace(PREMIUM, premium_enabled=False), 10, 1, id="switched off"),
    ],
)
def test_slots(user: User, slots: int, expected: int) -> None:
    account, _, _ = make(user, slots=slots)
    assert asyncio.run(account.slots()) == expected
    assert is_premium(user) is (expected > 1)


def test_name_is_a_fingerprint() -> None:
    name = make()[0].name
    assert name.startswith("mvsep:")
    assert len(name) == 18
    assert TOKEN.reveal() not in name
    assert make(token=Secret("other"))[0].name != name
    assert make(token=Secret(""))[0].name == "mvsep"


def test_answer_is_believed_for_a_minute() -> None:
    account, client, clock = make()
    asyncio.run(account.user())
    clock.now += BELIEVED - 1
    asyncio.run(account.user())
    assert client.names() == ["user"]
    clock.now += 2
    asyncio.run(account.user())
    account.forget()
    asyncio.run(account.user())
    assert client.names() == ["user"] * 3


def test_no_token_asks_nobody() -> None:
    account, client, _ = make(token=Secret(""))
    with pytest.raises(RefusedError, match="stembridge login mvsep"):
        asyncio.run(account.user())
    assert client.asked == []


def test_state() -> None:
    account, client, _ = make(PREMIUM)
    client.queue_up("a", "b")
    state = asyncio.run(account.state())
    assert (state.plan, state.credits, state.slots) == ("premium", 54.0, 10)
    assert state.details["jobs in the queue"] == "2"
    assert state.details["separations left today"] == "49 of 50"
    assert "long filenames" not in state.details


def test_state_without_the_queue() -> None:
    account, client, _ = make()
    client.failing["queue"] = TransientError("down")
    assert asyncio.run(account.state()).details["queue"] == "unknown: down"


@pytest.mark.parametrize(
    ("user", "left", "is_refused"),
    [(FREE, 0, True), (FREE, 1, False), (FREE, None, False), (PREMIUM, 0, False)],
)
def test_quota_of_the_day(user: User, left: int | None, is_refused: bool) -> None:
    account, client, _ = make(user)
    client.free_left = left
    if is_refused:
        with pytest.raises(RefusedError, match="50 free separations of today"):
            asyncio.run(account.require_quota())
    else:
        asyncio.run(account.require_quota())
        asyncio.run(account.require_quota())
        assert client.names().count("queue") == (user is FREE)


def test_quota_that_is_not_told_hinders_nobody() -> None:
    account, client, _ = make()
    client.failing["queue"] = TransientError("down")
    asyncio.run(account.require_quota())


@pytest.mark.parametrize("jump", [BELIEVED, -1.0, -86_400.0, 86_400.0])
def test_a_clock_that_jumps_makes_no_answer_last(jump: float) -> None:
    account, client, clock = make()
    asyncio.run(account.require_quota())
    clock.now += jump
    asyncio.run(account.require_quota())
    assert (client.names().count("user"), client.names().count("queue")) == (2, 2)


KNOWN = msgspec.structs.replace(FREE, api_token=TOKEN)
ANSWERS = {"email": Secret(" a@b.example "), "password": Secret(" pass ")}


def log_in(client: FakeClient, answers: Mapping[str, Secret]) -> dict[str, str]:
    used: list[str] = []

    def client_with(token: Secret) -> FakeClient:
        used.append(token.reveal())
        return client

    kept = asyncio.run(login(client_with, answers))
    assert used[-1] == kept["api_token"].reveal()
    return {name: value.reveal() for name, value in kept.items()}


def test_password_gives_the_token() -> None:
    client = FakeClient(KNOWN)
    assert log_in(client, ANSWERS) == {"api_token": TOKEN.reveal()}
    (name, asked), tried = client.asked
    assert (tried[0], name, asked["email"], asked["password"].reveal()) == (
        "user",
        "login",
        "a@b.example",
        " pass ",
    )
    client.failing["user"] = RefusedError("Invalid API key")
    with pytest.raises(RefusedError, match="Invalid API key"):
        log_in(client, ANSWERS)


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
