"""stembridge in beets: ``beet stems``, ``beet moods`` and ``beet stembridge``.

Every ``beet`` command imports this module, so it imports nothing of the core; what a command needs is imported when it
runs. ``beetsplug`` is a namespace package, and the helpers stand beside it: a second module inside it would be offered
to users as a plugin of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import beets
import mediafile
from beets.plugins import BeetsPlugin
from confuse import ConfigError
from stembridge_beets import commands, configuration, fields
from stembridge_beets.fields import HasStems
from stembridge_beets.host import UserError

if TYPE_CHECKING:
    from beets import logging
    from beets.dbcore import types
    from beets.dbcore.query import FieldQuery
    from beets.importer import ImportTask
    from beets.library import Item, Library
    from beets.ui import Subcommand
    from stembridge_beets.moves import Follower, Teller

    from plugin_core.files.hidden import HiddenNotes

HOW_FILES_GO = {
    "item_moved": "move",
    "item_copied": "copy",
    "item_reflinked": "copy",
    "item_linked": "link",
    "item_hardlinked": "hardlink",
}

OWN_EVENTS = ("stembridge_stems", "stembridge_moods")


def _announce_events() -> None:
    """List our events where beets 2.14 and newer do, for its ``hook`` plugin refuses others; it is loaded after us."""
    if "hook" in beets.config["plugins"].as_str_seq():
        with suppress(ImportError):
            from beets.events import ALL_EVENTS

            ALL_EVENTS.extend(OWN_EVENTS)


class StembridgePlugin(BeetsPlugin):
    """Splits songs into stems beside them, and labels them with mood, genre, language and more."""

    item_queries: ClassVar[dict[str, type[FieldQuery[Any]]]] = {"has_stems": HasStems}

    def __init__(self) -> None:
        super().__init__()
        self.config.add(configuration.defaults())
        configuration.redact(self.config)
        self._imported: list[int] = []
        # A mistake is told by the command that needs it.
        with suppress(ConfigError, UserError):
            configuration.rename_fields(self.config)
        _announce_events()
        # The types of listeners differ between the versions of beets.
        listen: Callable[..., None] = self.register_listener
        listen("pluginload", self._add_fields)
        listen("write", self._add_tags)
        listen("import_begin", self._check_import)
        listen("import_task_files", self._remember)
        listen("cli_exit", self._finish_import)
        for event, how in HOW_FILES_GO.items():
            listen(event, self._follow_by(how))

    @property
    def item_types(self) -> dict[str, types.Type[Any, Any]]:
        """Return the types of our fields, but for those that another plugin keeps in its way: beets would end there."""
        ours, theirs = fields.field_types(), fields.foreign_types(self)
        return {field: kind for field, kind in ours.items() if field not in theirs}

    album_types = item_types

    def commands(self) -> Sequence[Subcommand]:
        return commands.make_commands(self)

    @property
    def log(self) -> logging.BeetsLogger:
        """Where messages go."""
        return self._log

    def _add_fields(self) -> None:
        """Make our lists known as tags of files; what another plugin has for a field stays."""
        add = self.add_media_field if fields.IS_FILE_READ else mediafile.MediaFile.add_field
        for name in fields.missing_fields():
            if fields.is_list(name):
                add(fields.FIELD_OF[name], fields.make_field(name))
        for name in fields.scalar_fields():
            self._log.warning(
                "another plugin keeps {} as one value; stembridge.fields can give it another name here",
                fields.FIELD_OF[name],
            )

    def _add_tags(self, item: Item, tags: dict[str, Any]) -> None:
        fields.add_tags(item, tags)

    def _check_import(self) -> None:
        """Tell of wrong settings before an import begins, and of stems that it would take for tracks."""
        configuration.warn_of_typos(self.config, self._log)
        if "stems" in configuration.read_auto(self.config):
            from stembridge_beets.consistency import warn_of_ignore

            warn_of_ignore(self)

    def _remember(self, task: ImportTask) -> None:
        """Note what an import brought; nothing is worked on before it is over."""
        if not configuration.read_auto(self.config):
            return
        from stembridge_beets.own_command import mark_imported

        self._imported += mark_imported(self, task.imported_items())

    def _finish_import(self, lib: Library) -> None:
        if not self._imported:
            return
        from stembridge_beets.own_command import finish_import

        imported, self._imported = self._imported, []
        finish_import(self, lib, imported)

    @cached_property
    def _follower(self) -> Follower:
        from stembridge_beets.moves import Follower

        return Follower(self.log, self._notes, self._teller.tell, self._teller.carry)

    @cached_property
    def _teller(self) -> Teller:
        from stembridge_beets.moves import Teller

        return Teller(self.log, lambda: configuration.core_settings(self.config))

    def _follow_by(self, how: str) -> Callable[..., None]:
        def follow(item: Item, source: bytes, destination: bytes) -> None:
            # Beets has moved the file and not yet noted it: an error raised here would lose the song.
            try:
                self.bring_stems(item, source, destination, how)
            except Exception as error:  # noqa: BLE001
                self._log.warning("the stems of {} stay where they are: {}", item, error)

        return follow

    def bring_stems(self, item: Item, source: bytes, destination: bytes, how: str) -> None:
        """Let jobs and stems follow a song, unless stems are to stay; whoever calls stores the item."""
        if how == "move":
            self._teller.tell(Path(os.fsdecode(source)), Path(os.fsdecode(destination)))
        if self.config["follow"].get(bool):
            self._follower.follow(item, source, destination, how)

    def _notes(self) -> HiddenNotes:
        from plugin_core.files.hidden import HiddenNotes

        return HiddenNotes(configuration.core_settings(self.config).home)
