"""The configuration the scripts read: which interpreter to start, where runs lie, which presets there are."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from plugin_core.presets import Preset
from plugin_core.settings import Settings
from stembridge_reaper.install.actions import kind_of
from stembridge_reaper.runs import RUNS

CONFIGURATION = "stembridge.json"

VERSION = 1


def build_configuration(settings: Settings, presets: Iterable[Preset]) -> bytes:
    """Return the configuration as ASCII JSON.

    Args:
        settings: whose home the runs lie in.
        presets: in the order they are offered.
    """
    document = {
        "version": VERSION,
        "python": str(Path(sys.executable).absolute()),
        "arguments": ["-m", "plugin_core"],
        "home": str(settings.home),
        "runs": str(settings.home / RUNS),
        "presets": [{"name": preset.name, "title": preset.title, "kind": kind_of(preset)} for preset in presets],
    }
    return (json.dumps(document, indent=1) + "\n").encode("ascii")
