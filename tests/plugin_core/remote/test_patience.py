"""How long answers that say nothing are borne."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.errors import UnresolvedError
from plugin_core.remote.patience import bear, end_vagueness

HOUR = 3600.0


def test_a_day_is_counted_from_the_first_of_them(tmp_path: Path) -> None:
    bear(tmp_path, "Box", "?", 0.0)
    bear(tmp_path, "Box", "?", 23 * HOUR)
    with pytest.raises(UnresolvedError, match=r"Box has said nothing .* for 24 hours, last: \?\?; look at the job"):
        bear(tmp_path, "Box", "??", 24 * HOUR)
    # A retry begins a new day.
    bear(tmp_path, "Box", "?", 25 * HOUR)
    bear(tmp_path, "Box", "?", 48 * HOUR)


def test_a_clear_word_ends_it(tmp_path: Path) -> None:
    bear(tmp_path, "Box", "?", 0.0)
    end_vagueness(tmp_path)
    bear(tmp_path, "Box", "?", 25 * HOUR)
    end_vagueness(tmp_path)
    end_vagueness(tmp_path)
    assert list(tmp_path.iterdir()) == []
