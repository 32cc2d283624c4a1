from __future__ import annotations

import pytest

from plugin_core.remote.pace import Pace


@pytest.mark.parametrize(("age", "seconds"), [(0, 5), (49, 5), (100, 10), (299, 29.9), (300, 30), (1e9, 30)])
def test_looks_become_rarer(age: float, seconds: float) -> None:
    assert Pace(5.0, 30.0).wait(age) == pytest.approx(seconds)
