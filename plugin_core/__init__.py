"""Split songs into stems and label them: the core that REAPER, beets, hot folders and the command line share.

::

    async def separate(path: Path) -> None:
        with Session() as session:
            source = session.inspect(path)
            plan = await session.plan(source, Separation(provider="local"))
            job, made = await session.add(source, plan)
            for settled in await session.run([job.id]):
                print(settled.state, [stem.path for stem in settled.stems])

Names are imported when first used, so that ``import plugin_core`` costs next to nothing in a host.
"""

from __future__ import annotations

from plugin_core._version import __version__

# Importing typing would take most of the time this module costs a host; type checkers know the name by itself.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin_core.errors import ExitCode, StembridgeError
    from plugin_core.hookspecs import hookimpl
    from plugin_core.model import Job, JobState, Label, Plan, Progress, Separation, Source, Stem, Tagging
    from plugin_core.purchases.purchase import Offer
    from plugin_core.session import Session
    from plugin_core.settings import Settings

_HOME_OF = {
    "ExitCode": "errors",
    "Job": "model",
    "JobState": "model",
    "Label": "model",
    "Offer": "offer",
    "Plan": "model",
    "Progress": "model",
    "Separation": "model",
    "Session": "session",
    "Settings": "settings",
    "Source": "model",
    "Stem": "model",
    "StembridgeError": "errors",
    "Tagging": "model",
    "hookimpl": "hookspecs",
}

__all__ = [
    "ExitCode",
    "Job",
    "JobState",
    "Label",
    "Offer",
    "Plan",
    "Progress",
    "Separation",
    "Session",
    "Settings",
    "Source",
    "Stem",
    "StembridgeError",
    "Tagging",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        import importlib

        return getattr(importlib.import_module(f"plugin_core.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'plugin_core' has no attribute {name!r}")
