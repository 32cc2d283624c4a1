"""A box to talk to, and time that does not pass by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugin_core.transfer.box import BoxSimulator, Waits


@pytest.fixture
def box() -> Iterator[BoxSimulator]:
    with BoxSimulator() as service:
        yield service


@pytest.fixture
def waits() -> Waits:
    return Waits()
