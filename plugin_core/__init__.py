"""Split songs into stems and label them: the core that REAPER, beets, hot folders and the command line share.

::

    async def separate(path: Path) -> None:
        with Session() as session:
            source = session.inspect(path)
            plan = await session.plan(source, Separation(provider="local"))
            job, made = await session.add(source, plan)
            for settled in await session.run([job.id]):
                print(settled.state, [stem.path for stem in settled.stems])

These names and those of ``session``, ``run``, ``model``, ``wishes``, ``errors``, ``settings``, ``presets``, ``tasks``,
``files`` and ``console`` are what hosts may use. They are imported when first used: ``import plugin_core`` costs next
to nothing in a host.
"""

from __future__ import annotations

from plugin_core._version import __version__

# Importing typing would take most of the time this module costs a host; type checkers know the name by itself.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin_core.audio.flac import StreamInfo, find_last, read_stream_info
    from plugin_core.audio.formats import AUDIO_SUFFIXES, resolve_format
    from plugin_core.audio.reader import open_reader
    from plugin_core.audio.source_file import held_still
    from plugin_core.audio.writer import open_writer
    from plugin_core.errors import ExitCode, StembridgeError
    from plugin_core.hookspecs import hookimpl
    from plugin_core.jobs.engine import JobSet
    from plugin_core.jobs.policy import Policy
    from plugin_core.manifests import manifest
    from plugin_core.model import Job, JobState, Label, Plan, Progress, Separation, Source, Stem, Tagging, source_key
    from plugin_core.operations.song import inspect, is_untouched, slack_of
    from plugin_core.operations.stem_tags import find_songs, is_own_work, read_provenance, tag_stem
    from plugin_core.plugins import load_plugins
    from plugin_core.purchases.purchase import Offer, PurchaseState
    from plugin_core.recordings.tables import Slice
    from plugin_core.run import Asker, Ready, Reply, Run, Want
    from plugin_core.session import Session
    from plugin_core.settings import Settings
    from plugin_core.stem_names import canonical, colour_of, distinct, sort_stems, title
    from plugin_core.stems.layout import STEMS_SUFFIX
    from plugin_core.tags.labels import check_rules, decide
    from plugin_core.tags.reader import read_labels
    from plugin_core.wishes import DIMENSIONS

_HOME_OF = {
    "AUDIO_SUFFIXES": "audio.formats",
    "Reply": "run",
    "Asker": "run",
    "DIMENSIONS": "wishes",
    "ExitCode": "errors",
    "Job": "model",
    "JobSet": "jobs.engine",
    "JobState": "model",
    "Label": "model",
    "Offer": "purchases.purchase",
    "Plan": "model",
    "Policy": "jobs.policy",
    "Progress": "model",
    "PurchaseState": "purchases.purchase",
    "Ready": "run",
    "Run": "run",
    "STEMS_SUFFIX": "stems.layout",
    "Separation": "model",
    "Session": "session",
    "Settings": "settings",
    "Slice": "recordings.tables",
    "Source": "model",
    "Stem": "model",
    "StembridgeError": "errors",
    "StreamInfo": "audio.flac",
    "Tagging": "model",
    "Want": "run",
    "canonical": "stem_names",
    "colour_of": "stem_names",
    "check_rules": "tags.labels",
    "decide": "tags.labels",
    "distinct": "stem_names",
    "find_last": "audio.flac",
    "find_songs": "operations.stem_tags",
    "held_still": "audio.source_file",
    "hookimpl": "hookspecs",
    "inspect": "operations.song",
    "is_own_work": "operations.stem_tags",
    "is_untouched": "operations.song",
    "load_plugins": "plugins",
    "manifest": "manifests",
    "open_reader": "audio.reader",
    "open_writer": "audio.writer",
    "read_labels": "tags.reader",
    "read_provenance": "operations.stem_tags",
    "read_stream_info": "audio.flac",
    "resolve_format": "audio.formats",
    "slack_of": "operations.song",
    "sort_stems": "stem_names",
    "source_key": "model",
    "tag_stem": "operations.stem_tags",
    "title": "stem_names",
}

__all__ = [
    "AUDIO_SUFFIXES",
    "DIMENSIONS",
    "STEMS_SUFFIX",
    "Asker",
    "ExitCode",
    "Job",
    "JobSet",
    "JobState",
    "Label",
    "Offer",
    "Plan",
    "Policy",
    "Progress",
    "PurchaseState",
    "Ready",
    "Reply",
    "Run",
    "Separation",
    "Session",
    "Settings",
    "Slice",
    "Source",
    "Stem",
    "StembridgeError",
    "StreamInfo",
    "Tagging",
    "Want",
    "__version__",
    "canonical",
    "check_rules",
    "colour_of",
    "decide",
    "distinct",
    "find_last",
    "find_songs",
    "held_still",
    "hookimpl",
    "inspect",
    "is_own_work",
    "is_untouched",
    "load_plugins",
    "manifest",
    "open_reader",
    "open_writer",
    "read_labels",
    "read_provenance",
    "read_stream_info",
    "resolve_format",
    "slack_of",
    "sort_stems",
    "source_key",
    "tag_stem",
    "title",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        import importlib

        return getattr(importlib.import_module(f"plugin_core.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'plugin_core' has no attribute {name!r}")
