"""Stems as a session that other programs open; the formats come in through the hook that is open to everybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from plugin_core.sessions.arrangement import SessionFormat


@hookimpl
def register_session_formats(register: Callable[[SessionFormat], None]) -> None:
    from plugin_core.sessions.dawproject import DawProject
    from plugin_core.sessions.rpp import ReaperProject

    register(ReaperProject())
    register(DawProject())
