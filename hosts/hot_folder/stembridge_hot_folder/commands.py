"""``stembridge watch DIR...`` and its subcommands; what they do is imported when one of them is called."""

from __future__ import annotations

from pathlib import Path

import click

from plugin_core.console.context import Context
from plugin_core.console.groups import SuggestingGroup, examples
from plugin_core.console.options import JSON_OPTION
from plugin_core.errors import suggest_usual

_DEFAULT = "folders"
_HELP = ("-h", "--help")


class _Unnamed(click.Context):
    """The context of a subcommand that people do not name."""

    @property
    def command_path(self) -> str:
        """The words before its arguments."""
        return self.parent.command_path if self.parent is not None else super().command_path


class _Unspoken(click.Command):
    """A subcommand that people do not name."""

    context_class = _Unnamed


class WatchGroup(SuggestingGroup):
    """A group whose arguments are folders, unless the first names a subcommand; ``./status`` is a folder always."""

    unnamed = _DEFAULT

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Send everything that is no subcommand to the one that watches."""
        if not args or args[0] == _DEFAULT or (args[0] not in self.commands and args[0] not in _HELP):
            if args:
                self._refuse_slip(ctx, args[0])
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)

    def _refuse_slip(self, ctx: click.Context, word: str) -> None:
        """Refuse what is no option, no folder, and nearly a subcommand."""
        known = sorted(self.commands.keys() - {_DEFAULT})
        if not word.startswith("-") and not Path(word).exists() and (hint := suggest_usual(word, known)):
            raise click.UsageError(f"no folder {word!r}, {hint}", ctx)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write how folders are named."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] DIR...")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options that go with folders, then the subcommands."""
        options = [one for one in self.commands[_DEFAULT].get_params(ctx) if isinstance(one, click.Option)]
        shown = [found for each in options if (found := each.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(shown)
        self.format_commands(ctx, formatter)


@examples("stembridge watch Music/Drop", "stembridge watch status")
@click.command(cls=WatchGroup, context_settings={"help_option_names": list(_HELP)})
def watch() -> None:
    """Watch folders: each song dropped there is separated and labelled as its folder's preset says.

    DIR/<preset>/song.flac uses that preset, DIR/song.flac the usual one. Stems appear beside the song.
    """


@examples("stembridge watch Music/Drop")
@watch.command(_DEFAULT, cls=_Unspoken, hidden=True)
@click.argument("folders", nargs=-1, metavar="DIR...", type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Do what is there, then stop.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and stop.")
@click.option("--again", is_flag=True, help="Also do songs that were done before under another name.")
@JSON_OPTION
@click.pass_obj
def watch_folders(
    context: Context, folders: tuple[Path, ...], once: bool, dry_run: bool, again: bool, as_json: bool
) -> int:
    """Watch folders until stopped; `stembridge watch --help` shows all there is."""
    from stembridge_hot_folder.run import preview_folders, run_folders

    if dry_run:
        return preview_folders(context, folders, again=again, as_json=as_json)
    return run_folders(context, folders, once=once, again=again, as_json=as_json)


@examples("stembridge watch status")
@watch.command("status", short_help="Show what is done, at work, failed and why.")
@click.argument("folders", nargs=-1, metavar="[DIR...]", type=click.Path(path_type=Path))
@JSON_OPTION
@click.pass_obj
def status(context: Context, folders: tuple[Path, ...], as_json: bool) -> int:
    """Show what is done, at work and failed, and why; default in every folder."""
    from stembridge_hot_folder.status import show_status

    return show_status(context, folders, as_json=as_json)


@examples("stembridge watch retry --failed")
@watch.command("retry", short_help="Have songs done again.")
@click.argument("files", nargs=-1, metavar="[FILE...]", type=click.Path(path_type=Path))
@click.option("--failed", is_flag=True, help="All that failed, in every folder.")
@click.option("--force", is_flag=True, help="Buy again what failed and is not to be had any more.")
@JSON_OPTION
@click.pass_obj
def retry(context: Context, files: tuple[Path, ...], failed: bool, force: bool, as_json: bool) -> int:
    """Have songs done again; the watch that runs, or the next one, does it.

    What the service has, or may have, of a failed or unconfirmed song is looked for first; with --force it is bought
    again if it is not to be had.
    """
    from stembridge_hot_folder.status import retry_songs

    if not files and not failed:
        raise click.UsageError("name a file, or --failed")
    return retry_songs(context, files, failed=failed, as_json=as_json, force=force)


@examples("stembridge watch pause", "stembridge watch pause Music/Drop")
@watch.command("pause", short_help="Begin nothing new for a while.")
@click.argument("folders", nargs=-1, metavar="[DIR...]", type=click.Path(path_type=Path))
@JSON_OPTION
@click.pass_obj
def pause(context: Context, folders: tuple[Path, ...], as_json: bool) -> int:
    """Begin nothing new in a folder, default in every one, until `stembridge watch resume`; also after a restart.

    What is at work, and may be paid for, goes on. What lands meanwhile waits.
    """
    from stembridge_hot_folder.status import pause_folders

    return pause_folders(context, folders, is_paused=True, as_json=as_json)


@examples("stembridge watch resume")
@watch.command("resume", short_help="Go on where it was paused.")
@click.argument("folders", nargs=-1, metavar="[DIR...]", type=click.Path(path_type=Path))
@JSON_OPTION
@click.pass_obj
def resume(context: Context, folders: tuple[Path, ...], as_json: bool) -> int:
    """Go on in a folder that was paused, default in every one."""
    from stembridge_hot_folder.status import pause_folders

    return pause_folders(context, folders, is_paused=False, as_json=as_json)


@examples("stembridge watch install Music/Drop")
@watch.command("install", short_help="Watch from now on, as a service.")
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path))
@click.pass_obj
def install_command(context: Context, folders: tuple[Path, ...]) -> int:
    """Watch folders from now on, also after a restart: write a service of the current user."""
    from stembridge_hot_folder.service import install

    for line in install(context.settings, folders):
        click.echo(line)
    return 0


@examples("stembridge watch uninstall")
@watch.command("uninstall", short_help="Remove that service.")
@click.pass_obj
def uninstall_command(context: Context) -> int:
    """Remove the service that ``install`` wrote."""
    from stembridge_hot_folder.service import uninstall

    for line in uninstall(context.settings):
        click.echo(line)
    return 0
