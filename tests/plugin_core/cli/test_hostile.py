"""A service's words reach the terminal as text also where they end a command."""

from __future__ import annotations

import pytest

from plugin_core.errors import ServiceError
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.cli.fakes import FakeSeparator
from tests.plugin_core.console.test_hostile import EVIL, assert_tame


def test_command_that_ends_with_a_services_words(
    stembridge: Run, fake: FakeSeparator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> None:
        raise ServiceError(EVIL, remedy=EVIL)

    monkeypatch.setattr(fake, "models", refuse)
    for arguments in (("models",), ("models", "--provider", "fake")):
        result = stembridge(*arguments)
        assert result.code == 1
        assert len(result.err.splitlines()) == 1
        assert_tame(result.err, 2)
