from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import plugin_core.audio


def test_every_public_name_is_there() -> None:
    for name in plugin_core.audio.__all__:
        assert getattr(plugin_core.audio, name) is not None


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        plugin_core.audio.nothing  # noqa: B018


def test_importing_the_package_costs_no_numpy() -> None:
    assert importlib.util.find_spec("numpy")
    code = "import sys, plugin_core.audio; sys.exit('numpy' in sys.modules or 'soundfile' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
