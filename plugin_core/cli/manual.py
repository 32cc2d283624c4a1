"""The manual page, made of the help pages: ``python -m plugin_core.cli.manual > stembridge.1``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from plugin_core._version import __version__
from plugin_core.cli.app import build_app
from plugin_core.console.context import Context
from plugin_core.console.groups import EXAMPLES, SuggestingGroup

EXIT_CODES = {
    "0": "all done",
    "1": "some job failed",
    "2": "usage or settings",
    "3": "refused by the service or by your own limit",
    "4": "unconfirmed jobs remain",
    "130": "interrupted",
}


def write_page(context: Context) -> Iterator[str]:
    """Yield the lines of the page, in the language of man."""
    app = build_app()
    with click.Context(app, obj=context, info_name="stembridge", **app.context_settings) as ctx:
        yield f'.TH STEMBRIDGE 1 "" "stembridge {__version__}" "User Commands"'
        yield from (".SH NAME", r"stembridge \- split songs into stems and label them in their own tags")
        yield from (".SH SYNOPSIS", ".B stembridge", r"[\fIoptions\fR] \fIcommand\fR [\fIarguments\fR]")
        yield from (".SH DESCRIPTION", *list(_paragraphs(app))[1:], ".SH OPTIONS", *_options(app, ctx))
        yield ".SH COMMANDS"
        for name in app.list_commands(ctx):
            yield from _command(app.get_command(ctx, name), name, ctx)
        yield ".SH EXIT STATUS"
        for code, text in EXIT_CODES.items():
            yield from (".TP", f".B {code}", escape(text))
        yield from (".SH FILES", "The settings are in the file that", r".B stembridge config path", "names.")
        yield from (".SH ENVIRONMENT", ".TP", ".B STEMBRIDGE_HOME", "The folder of settings, jobs and logs.")
        yield from (".TP", r".BI STEMBRIDGE_ SECTION_KEY", "A key of the settings; it wins over the file.")


def _command(command: click.Command | None, name: str, parent: click.Context) -> Iterator[str]:
    if command is None or command.hidden:
        return
    with click.Context(command, info_name=name, parent=parent) as ctx:
        shown: click.Command = command
        if isinstance(command, SuggestingGroup) and command.unnamed:
            shown = command.commands[command.unnamed]
        yield f".SS {escape(ctx.command_path)}"
        yield from (f".B {escape(ctx.command_path)}", escape(" ".join(shown.collect_usage_pieces(ctx))))
        yield from (*_paragraphs(command), *_options(shown, ctx), *_examples(command))
        if isinstance(command, click.Group):
            for each in command.list_commands(ctx):
                yield from _command(command.get_command(ctx, each), each, ctx)


def _paragraphs(command: click.Command) -> Iterator[str]:
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield from (".PP", escape(" ".join(paragraph.split())))


def _options(command: click.Command, ctx: click.Context) -> Iterator[str]:
    for param in command.get_params(ctx):
        if isinstance(param, click.Option) and (record := param.get_help_record(ctx)):
            yield from (".TP", f".B {escape(record[0])}", escape(" ".join(record[1].split())))


def _examples(command: click.Command) -> Iterator[str]:
    lines = (command.epilog or "").splitlines()
    if EXAMPLES in lines:
        yield from (".PP", EXAMPLES, ".RS", ".nf", *(escape(line.strip()) for line in lines[2:]), ".fi", ".RE")


def escape(text: str) -> str:
    """Return text that means itself: no sign of it is man's own."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.stdout.write("\n".join(write_page(Context())) + "\n")
