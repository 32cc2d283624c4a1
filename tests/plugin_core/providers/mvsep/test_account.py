from __future__ import annotations

import asyncio

import msgspec
import pytest

from plugin_core.errors import RefusedError, TransientError
from plugin_core.providers.mvsep.account import BELIEVED, Account, is_premium
from plugin_core.providers.mvsep.account_calls import User
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
