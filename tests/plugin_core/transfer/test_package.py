from __future__ import annotations

import subprocess
import sys


def test_importing_it_does_not_import_httpx_nor_a_request_the_command_of_httpx() -> None:
    code = (
        "import sys, plugin_core.transfer, plugin_core.providers.mvsep.client; print('httpx' in sys.modules)\n"
        "import plugin_core.transfer.wire; print('httpx' in sys.modules, 'rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]
