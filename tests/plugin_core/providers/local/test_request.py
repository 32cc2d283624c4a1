from __future__ import annotations

import pytest

from plugin_core.errors import UsageError
from plugin_core.providers.local.request import (
    OPTIONS,
    Parameters,
    fill_options,
    read_options,
)


def test_defaults_are_the_methods() -> None:
    assert read_options(fill_options({})) == Parameters()


def test_one_spelling() -> None:
    assert fill_options({"melody_depth": " 0.50 "}) == fill_options({"melody_depth": "5e-1"})


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("text", ["", "loud", "nan", "inf", "-1", "1e9"])
def test_what_is_no_number_in_range_is_refused(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=rf"option {name}=.*is no number from .* to .*the default is"):
        read_options({name: text})


def test_unknown_option_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no option 'center_weight', did you mean 'centre_weight'\?.*melody_depth"):
        read_options({"center_weight": "1"})
