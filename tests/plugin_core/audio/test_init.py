from __future__ import annotations

import importlib.util
import subprocess
import sys


def test_importing_the_formats_costs_no_numpy() -> None:
    assert importlib.util.find_spec("numpy")
    code = "import sys, plugin_core.audio.formats; sys.exit('numpy' in sys.modules or 'soundfile' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
