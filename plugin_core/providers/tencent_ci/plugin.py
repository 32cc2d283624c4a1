"""Registers the separator ``tencent_ci``, the stager ``cos`` and commands; imports nothing until one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_core.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

    from plugin_core.protocols import Separator, Stager
    from plugin_core.settings import Settings


@hookimpl
def register_separators(register: Callable[[Separator], None], settings: Settings) -> None:
    """Offer the separator named ``tencent_ci``, with or without an account.

    Raises:
        SettingsError: a value in section ``tencent`` is wrong.
    """
    from plugin_core.providers.tencent_ci.adapter import CiSeparator
    from plugin_core.providers.tencent_ci.settings import SECTION, TencentSettings

    register(CiSeparator(settings.section(SECTION, TencentSettings)))


@hookimpl
def register_stagers(register: Callable[[Stager], None], settings: Settings) -> None:
    """Offer the stager named ``cos`` once keys, bucket and region are set.

    Raises:
        SettingsError: a value in section ``tencent`` is wrong.
    """
    from plugin_core.providers.tencent_ci.settings import SECTION, TencentSettings

    section = settings.section(SECTION, TencentSettings)
    if section.is_configured:
        from plugin_core.providers.tencent_ci.stager import CosStager
        from plugin_core.stores import work_folder

        register(CosStager(section, work_folder(settings)))


@hookimpl
def register_commands(group: click.Group) -> None:
    """Add ``stembridge tencent``."""
    from plugin_core.console.groups import Deferred

    group.add_command(
        Deferred(
            "tencent",
            "plugin_core.providers.tencent_ci.commands",
            "Ask Tencent's services about jobs and objects, keep templates, and see what the bucket can do.",
        )
    )
