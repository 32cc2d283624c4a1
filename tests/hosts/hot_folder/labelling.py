"""A hot folder whose preset ``both`` separates and labels."""

from __future__ import annotations

from plugin_core.console.context import Context
from plugin_core.settings import Settings, no_keyring
from tests.hosts.hot_folder.conftest import Desk
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, load_fakes
from tests.plugin_core.tagger_fakes import FakeTagger, TaggerPlugin

PRESET = """
[presets.both]
operations = [{ kind = "separation" }, { kind = "tagging" }]
"""


class LabellingDesk(Desk):
    """A desk with a tagger."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.root, desk.home)
        self.tagger = FakeTagger()
        self.environ |= {"STEMBRIDGE_TAGS_PROVIDER": "ears", "STEMBRIDGE_WATCH_PRESET": "both"}
        (self.home / "config.toml").write_text(PRESET)

    def context(self) -> Context:
        """Return a context of these settings, with both providers."""
        settings = Settings(self.home, environ=self.environ, keyring=no_keyring)
        points = (FakePoint("fake", FakePlugin(self.separator)), FakePoint("ears", TaggerPlugin(self.tagger)))
        return Context(settings, load_fakes(*points))
