"""Locks that the system gives back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugin_core.files.locks import take_lock, try_lock


def test_one_holder_at_a_time_until_the_file_is_closed(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    try:
        assert try_lock(first)
        assert not try_lock(second)
        with pytest.raises(OSError, match=r"."):
            take_lock(second)
        os.close(first)
        assert try_lock(second)
    finally:
        os.close(second)
