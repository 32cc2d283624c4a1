"""What ended a command, as one of our own errors: a sentence, what to do, and an exit code."""

from __future__ import annotations

import click

from plugin_core.console.context import Context
from plugin_core.errors import StembridgeError, UsageError
from plugin_core.suggest import suggest


def first_of(error: Exception) -> Exception:
    """Return the first error of a group; one at a time can be mended."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def name_failure(error: Exception, context: Context) -> StembridgeError:
    """Return the error that people are told: itself, click's as a usage error, any other by its kind.

    The trace of an error that nobody expected goes to the log.
    """
    if isinstance(error, StembridgeError):
        return error
    if isinstance(error, click.UsageError):
        return _describe_usage(error)
    if isinstance(error, click.ClickException):
        return UsageError(error.format_message())
    what = " ".join(f"{type(error).__name__}: {error}".split())
    kept = context.logs.keep_traceback(what, error)
    return StembridgeError(
        what, remedy=f"details in {context.logs.path}" if kept else f"{context.logs.path} cannot be written"
    )


def is_of_output(error: Exception) -> bool:
    """Tell whether an error came from printing: it names no file and was raised where things are shown."""
    if not isinstance(error, OSError) or error.filename is not None:
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""
    return module.startswith(("plugin_core.cli.", "plugin_core.console.", "click.", "rich."))


def _describe_usage(error: click.UsageError) -> UsageError:
    message = _describe_no_such_option(error) if isinstance(error, click.NoSuchOption) else error.format_message()
    path = error.ctx.command_path if error.ctx else "stembridge"
    return UsageError(message[:1].lower() + message[1:].rstrip("."), remedy=f"try '{path} --help'")


def _describe_no_such_option(error: click.NoSuchOption) -> str:
    root = error.ctx.find_root() if error.ctx is not None and error.ctx.parent is not None else None
    if error.ctx is not None and root and any(error.option_name in param.opts for param in root.command.params):
        words = error.ctx.command_path.removeprefix(root.command_path)
        return f"{error.option_name} goes before the command: {root.command_path} {error.option_name}{words}"
    hint = suggest(error.option_name, error.possibilities or (), lead=", ", is_quoted=False)
    return f"no option {error.option_name}{hint}"
