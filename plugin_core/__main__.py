"""``python -m plugin_core`` is ``stembridge``."""

from __future__ import annotations

import sys

from plugin_core.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
