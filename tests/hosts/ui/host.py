"""``python -m tests.hosts.ui.host ARGUMENTS...``: the command line with the embedded engine, and two that are paid."""

from __future__ import annotations

import sys

import stembridge_hot_folder.plugin
import stembridge_ui.plugin

import plugin_core.providers.local.plugin
from plugin_core.cli.app import run
from plugin_core.console.context import Context
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes
from tests.plugin_core.tagger_fakes import FakeTagger, TaggerPlugin

if __name__ == "__main__":
    separator = FakeSeparator()
    separator.price = 3.0
    plugins = load_fakes(
        FakePoint("fake", FakePlugin(separator)),
        FakePoint("local", plugin_core.providers.local.plugin),
        FakePoint("ears", TaggerPlugin(FakeTagger())),
        FakePoint("hot_folder", stembridge_hot_folder.plugin),
        FakePoint("ui", stembridge_ui.plugin),
    )
    sys.exit(run(sys.argv[1:], Context(plugins=plugins)))
