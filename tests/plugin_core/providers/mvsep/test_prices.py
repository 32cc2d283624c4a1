from __future__ import annotations

import pytest

from plugin_core.providers.mvsep.plan import estimate_credits
from tests.plugin_core.providers.mvsep.fakes import algorithm


@pytest.mark.parametrize(
    ("number", "options", "seconds", "credits"),
    [
        pytest.param(28, {}, 380.0, 25, id="multiplied before rounding"),
        pytest.param(63, {}, 380.0, 6, id="one a minute"),
        pytest.param(63, {}, 5.0, 1, id="at least one"),
        pytest.param(63, {}, 119.999, 1, id="rounded down"),
        pytest.param(63, {}, 120.0, 2, id="whole minutes"),
        pytest.param(40, {"add_opt2": "8"}, 380.0, 12, id="overlap doubles"),
        pytest.param(48, {"add_opt2": "8"}, 380.0, 9, id="overlap one and a half"),
        pytest.param(40, {"add_opt1": "171", "add_opt2": "8"}, 60.0, 2, id="rule of one"),
        pytest.param(26, {}, 60.0, 2, id="ensemble"),
    ],
)
def test_credits(number: int, options: dict[str, str], seconds: float, credits: int) -> None:  # noqa: A002
    assert estimate_credits(algorithm(number), options, seconds) == credits
