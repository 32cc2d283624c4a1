"""``python -m tests.hosts.beets.beet``: what the script ``beet`` does, where its process starts quickly."""

from __future__ import annotations

import sys

import beets.ui.commands  # noqa: F401 - so that the process that is forked has it
import beetsplug.convert
import beetsplug.edit
import beetsplug.scrub
import beetsplug.stembridge  # noqa: F401
from beets.ui import main

if __name__ == "__main__":
    sys.argv[0] = "beet"
    main()
