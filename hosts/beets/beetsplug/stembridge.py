"""stembridge in beets: ``beet stems``, ``beet moods`` and ``beet stembridge``.

Every ``beet`` command imports this module, so it imports nothing of the core; what a command needs is imported when it
runs. ``beetsplug`` is a namespace package, and the helpers stand beside it: a second module inside it would be offered
to users as a plugin of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import mediafile
from beets import logging
from beets.plugins import BeetsPlugin
from stembridge_beets import commands, configuration, media_fields
from stembridge_beets.queries import HasStems

if TYPE_CHECKING:
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


class StembridgePlugin(BeetsPlugin):
    """Splits songs into stems beside them, and labels them with mood, genre, language and more."""

    item_types: ClassVar[dict[str, types.Type[Any, Any]]] = media_fields.FIELD_TYPES
    album_types: ClassVar[dict[str, types.Type[Any, Any]]] = media_fields.FIELD_TYPES

    item_queries: ClassVar[dict[str, type[FieldQuery[Any]]]] = {"has_stems": HasStems}

    def __init__(self) -> None:
        super().__init__()
        self.config.add(configuration.defaults())
        configuration.redact(self.config)
        self._imported: list[int] = []
        self._add_fields()
        # The types of listeners differ between the versions of beets.
        listen: Callable[..., None] = self.register_listener
        listen("write", self._add_tags)
        listen("import_begin", self._check_import)
        listen("import_task_files", self._remember)
        listen("cli_exit", self._finish_import)
        for event, how in HOW_FILES_GO.items():
            listen(event, self._follow_by(how))

    def commands(self) -> Sequence[Subcommand]:
        """Return the commands."""
        return commands.make_commands(self)

    @contextmanager
    def as_command(self) -> Iterator[None]:
        """Let a listener work as a command does: with its level of messages, and free to cause events itself."""
        level = self._log.level
        self._log.setLevel(logging.NOTSET)
        try:
            yield
        finally:
            self._log.setLevel(level)

    @property
    def log(self) -> logging.BeetsLogger:
        """Where messages go."""
        return self._log

    def _add_fields(self) -> None:
        add = self.add_media_field if media_fields.IS_FILE_READ else mediafile.MediaFile.add_field
        for name in media_fields.missing_fields():
            add(name, media_fields.make_field(name))
        for name in media_fields.scalar_fields():
            self._log.warning("another plugin keeps {} as one value; several will be joined by it", name)

    def _add_tags(self, item: Item, tags: dict[str, Any]) -> None:
        media_fields.add_tags(item, tags)

    def _check_import(self) -> None:
        """Tell of a wrong setting before an import begins, and of stems that it would take for tracks."""
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
        with self.as_command():
            finish_import(self, lib, imported)

    @cached_property
    def _follower(self) -> Follower:
        from stembridge_beets.moves import Follower

        return Follower(self.log, self._notes, self._teller.tell)

    @cached_property
    def _teller(self) -> Teller:
        from stembridge_beets.moves import Teller

        return Teller(self.log, lambda: configuration.core_settings(self.config))

    def _follow_by(self, how: str) -> Callable[..., None]:
        def follow(item: Item, source: bytes, destination: bytes) -> None:
            # Beets has moved the file and not yet noted it: an error raised here would lose the song.
            try:
                if how == "move":
                    self._teller.tell(Path(os.fsdecode(source)), Path(os.fsdecode(destination)))
                self.bring_stems(item, source, destination, how)
            except Exception as error:  # noqa: BLE001
                self._log.warning("the stems of {} stay where they are: {}", item, error)

        return follow

    def bring_stems(self, item: Item, source: bytes, destination: bytes, how: str) -> None:
        """Bring a song's stems after it, unless they are to stay where they are; whoever calls stores the item."""
        if self.config["follow"].get(bool):
            self._follower.follow(item, source, destination, how)

    def _notes(self) -> HiddenNotes:
        from plugin_core.files.hidden import HiddenNotes

        return HiddenNotes(configuration.core_settings(self.config).home)
