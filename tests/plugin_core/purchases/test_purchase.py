"""Which purchase holds all that a wish would buy."""

from __future__ import annotations

import pytest

from plugin_core.model import Quote
from plugin_core.purchases.purchase import is_enough


@pytest.mark.parametrize(
    ("bought", "depth", "is_it"),
    [
        ("flac16", 16, True),
        ("flac16", 24, False),
        ("flac24", 16, True),
        ("flac24", 24, True),
        ("wav32f", 24, True),
        ("wav32f", 32, True),
        ("flac24", 32, False),
        ("mp3", 16, False),
        ("m4a", 16, False),
        ("of a later version", 16, False),
        ("", 16, False),
    ],
)
def test_only_a_lossless_format_that_is_as_deep_serves_in_place_of_another(
    bought: str, depth: int, is_it: bool
) -> None:
    assert is_enough(Quote(output=bought), Quote(output="wav16", depth=depth)) is is_it
    # What is the very same serves however deep it is.
    assert is_enough(Quote(output=bought), Quote(output=bought, depth=depth))
