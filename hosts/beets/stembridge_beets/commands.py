"""The commands as beets knows them: names and options; what they do is imported when one of them runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from beets.ui import CommonOptionsParser, Subcommand

from stembridge_beets import configuration
from stembridge_beets.configuration import OWN_WORDS
from stembridge_beets.host import CORE_WORDS, trouble_told

if TYPE_CHECKING:
    from beets.library import Library

    from stembridge_beets.host import Host, MoodsOptions, OwnOptions, StemsOptions


def make_commands(plugin: Host) -> Sequence[Subcommand]:
    return [_make_stems(plugin), _make_moods(plugin), _make_own(plugin)]


@contextmanager
def _told(plugin: Host) -> Iterator[None]:
    """Tell of misspelt settings first, and of what goes wrong in one line."""
    configuration.warn_of_typos(plugin.config, plugin.log)
    with trouble_told():
        yield


def _make_stems(plugin: Host) -> Subcommand:
    command = Subcommand("stems", help="split songs into stems beside them")
    _add_run_options(command, again="split songs that have stems as well")
    add = command.parser.add_option
    add("--preset", metavar="NAME", help="recipe to follow (stembridge run)")
    add("--provider", metavar="NAME", help="who separates: local or a service")
    add("--model", metavar="ID", help="one of: stembridge models")
    add("--check", action="store_true", default=False, help="list missing stems, and stems that belong to no song")

    def run(lib: Library, opts: StemsOptions, args: list[str]) -> None:
        from stembridge_beets.stems_command import run_stems

        with _told(plugin):
            run_stems(plugin, lib, opts, args)

    command.func = run
    return command


def _make_moods(plugin: Host) -> Subcommand:
    command = Subcommand("moods", help="label songs with mood, genre, language and more")
    _add_run_options(command, again="label songs that are labelled as well")
    add = command.parser.add_option
    add("-w", "--write", action="store_true", default=None, help="write tags to files")
    add("-W", "--nowrite", action="store_false", dest="write", help="do not write tags to files")
    add("--dimensions", metavar="A,B", help="mood, genre, language, scene, vocal, bgm, intensity")
    add("--undo", action="store_true", default=False, help="put back what stood there before")

    def run(lib: Library, opts: MoodsOptions, args: list[str]) -> None:
        from stembridge_beets.moods_command import run_moods

        with _told(plugin):
            run_moods(plugin, lib, opts, args)

    command.func = run
    return command


def _make_own(plugin: Host) -> Subcommand:
    told = [f"{word}: {what}" for word, what in OWN_WORDS.items()]
    told.append(f"{', '.join(CORE_WORDS)}: as of stembridge, with these settings [WORDS] [-- OPTIONS]")
    parser = CommonOptionsParser(usage=f"%prog [{'|'.join(OWN_WORDS)}] [QUERY]", description="; ".join(told))
    command = Subcommand("stembridge", parser, help=f"what is left to be done: {', '.join(OWN_WORDS)}")
    _add_manners(command)

    def run(lib: Library, opts: OwnOptions, args: list[str]) -> None:
        from stembridge_beets.own_command import run_own

        with _told(plugin):
            run_own(plugin, lib, opts, args)

    command.func = run
    return command


def _add_run_options(command: Subcommand, *, again: str) -> None:
    _add_manners(command)
    add = command.parser.add_option
    add("-f", "--force", action="store_true", default=None, help=again)
    add(
        "-F",
        "--noforce",
        action="store_false",
        dest="force",
        help="pass over what is done already",
    )
    add("-t", "--threads", type="int", metavar="N", help="songs in work at the same time")
    command.parser.add_album_option()


def _add_manners(command: Subcommand) -> None:
    """Add what every command is told; what is left out comes from the configuration."""
    add = command.parser.add_option
    add("-p", "--pretend", action="store_true", default=False, help="say what would be done, and stop")
    add("-q", "--quiet", action="store_true", default=None, help="only say what goes wrong")
    add("-y", "--yes", action="store_true", default=None, help="do not ask")
