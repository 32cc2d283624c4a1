from __future__ import annotations

import pytest

from plugin_core.transfer.waits import MOST, backoff, read_retry_after

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("17", 17.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("99999999999", 86_400.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_reads_both_forms(text: str | None, seconds: float | None) -> None:
    assert read_retry_after(text, NOW) == seconds


def test_grows_with_jitter_up_to_a_most() -> None:
    assert [backoff(tries, lambda: 0.0) for tries in (1, 2, 3)] == [1.0, 2.0, 4.0]
    assert backoff(1, lambda: 1.0) == 1.5
    assert backoff(10_000, lambda: 0.0) == MOST
