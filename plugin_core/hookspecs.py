"""Everything a plugin can add to stembridge.

Write ``from plugin_core import hookimpl``, implement any of these, and name the module in the entry point group
``stembridge``. Arguments not needed can be left out. Hooks run in the process that has the work; a plugin module
should import little at its top, since every command loads it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click
    import msgspec

    from plugin_core.model import Job
    from plugin_core.protocols import Separator, Stager, Tagger
    from plugin_core.sessions.arrangement import SessionFormat
    from plugin_core.settings import Settings

hookspec = pluggy.HookspecMarker("stembridge")
hookimpl = pluggy.HookimplMarker("stembridge")


@hookspec
def register_separators(register: Callable[[Separator], None], settings: Settings) -> None:
    """Call ``register`` for each separator; runs once, when providers are first asked for; may raise SettingsError."""


@hookspec
def register_taggers(register: Callable[[Tagger], None], settings: Settings) -> None:
    """Call ``register`` for each tagger; runs once, when providers are first asked for; may raise SettingsError."""


@hookspec
def register_stagers(register: Callable[[Stager], None], settings: Settings) -> None:
    """Call ``register`` for each stager; runs once, when providers are first asked for; may raise SettingsError."""


@hookspec
def register_session_formats(register: Callable[[SessionFormat], None]) -> None:
    """Call ``register`` for each kind of session file; runs once, when one is first asked for; may raise nothing."""


@hookspec
def register_sections(register: Callable[[str, type[msgspec.Struct]], None]) -> None:
    """Declare sections of the settings that no provider reads, for ``config`` and ``doctor``; may raise nothing."""


@hookspec
def register_commands(group: click.Group) -> None:
    """Add commands to ``stembridge``; runs before the command line is read, in the main thread; may raise nothing."""


@hookspec
def job_changed(job: Job, previous: Job | None) -> None:
    """Hear of a change of state or progress, after it is stored, in the engine's thread: return fast, raise nothing."""


@hookspec
def stems_placed(job: Job) -> None:
    """Hear that ``job.stems`` stand beside their source, once for each job, in the engine's thread; raise nothing."""


@hookspec
def tags_written(job: Job) -> None:
    """Hear that ``job.labels`` stand in the source's tags, once for each job, in the engine's thread; raise nothing."""
