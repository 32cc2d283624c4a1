from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from plugin_core.protocols import Separator
from plugin_core.providers.local import plugin
from plugin_core.settings import Settings

HEAVY = ("numpy", "soundfile", "httpx", "rich", "mutagen", "platformdirs", "scipy", "asyncio")


def test_it_registers_the_local_separator(home: Path) -> None:
    registered: list[Separator] = []
    plugin.register_separators(registered.append, Settings(home, environ={"STEMBRIDGE_LOCAL_WORKERS": "5"}))
    assert [separator.name for separator in registered] == ["local"]


def test_loading_it_imports_nothing_heavy() -> None:
    script = f"import sys, plugin_core.providers.local.plugin; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_planning_needs_no_numpy() -> None:
    script = (
        "import sys, plugin_core.providers.local.adapter; print('numpy' in sys.modules, 'soundfile' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
