"""What a provider says of its service; one of today that says nothing keeps working."""

from __future__ import annotations

import pytest

from plugin_core.errors import PluginError
from plugin_core.protocols import Terms, terms_of
from tests.plugin_core.cli.fakes import FakeSeparator


def test_who_says_nothing_has_the_defaults() -> None:
    assert terms_of(FakeSeparator()) == Terms(register_seconds=0, keeps_seconds=None, unclear_hours=24)


@pytest.mark.parametrize("said", ["soon", -1, None], ids=str)
def test_terms_that_are_none_name_the_plugin(said: object) -> None:
    fake = FakeSeparator()
    fake.register_seconds = said  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match=r"plugin fake failed.*register_seconds"):
        terms_of(fake)
