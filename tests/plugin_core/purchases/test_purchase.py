"""Which purchase holds all that a wish would buy."""

from __future__ import annotations

import pytest

from plugin_core.model import Quote, from_json
from plugin_core.purchases.purchase import Purchase, is_enough


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


def test_a_purchase_from_before_a_field_was_there_is_read_with_nothing_in_it() -> None:
    """As the first version wrote it: what came later says that it never happened."""
    text = (
        '{"id":"p","key":"k","state":"kept","provider":"mvsep","account":"a","recording":"r","quote":{},"song":"/a.flac",'
        '"created":1.0,"updated":2.0,"kept":[{"stem":"vocals","label":"Vocals","name":"part-0.flac","size":3}]}'
    )
    purchase = from_json(text, Purchase)
    times = (purchase.register_seconds, purchase.sent, purchase.looked_since, purchase.unclear_since, purchase.ended)
    assert times == (0.0,) * 5
    assert (purchase.spoilt, purchase.is_released, purchase.reason, purchase.ticket) == (0, False, "", None)
    assert (purchase.results, purchase.labels, purchase.note) == ((), (), {})
    assert [(one.is_audio, one.exact) for one in purchase.kept] == [(True, False)]
