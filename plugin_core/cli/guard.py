"""Where every command ends: each error becomes one line, one JSON object and an exit code, here and nowhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from plugin_core.cli.app import build_app
from plugin_core.cli.failures import first_of, is_of_output, name_failure
from plugin_core.console.context import Context
from plugin_core.console.formatting import clean
from plugin_core.console.interrupt import NothingBegunError
from plugin_core.errors import ExitCode, StembridgeError


def run(arguments: Sequence[str], context: Context | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: what follows ``stembridge``.
        context: settings and plugins; default the user's own.
    """
    _replace_missing_streams()
    _let_any_name_be_printed()
    try:
        code = _run(list(arguments), context)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        return ExitCode.INTERRUPTED
    except OSError as error:
        _forget_output()
        return _tell(f"standard output cannot be written: {error.strerror or error}", ExitCode.FAILED)
    return code


def _run(arguments: list[str], context: Context | None) -> int:
    try:
        context = context or Context()
    except StembridgeError as error:
        return _end(error, arguments)
    context.logs.open(verbose=False, quiet=False)
    try:
        return _invoke(arguments, context)
    except click.exceptions.Exit as exit_asked:
        return exit_asked.exit_code
    except NothingBegunError:
        return _end_interrupted("nothing was begun", arguments)
    except (click.Abort, KeyboardInterrupt):
        return _end_interrupted("interrupted; what was begun goes on with: stembridge jobs resume", arguments)
    except BrokenPipeError:
        raise
    except Exception as error:
        # The last line of defence: a person sees one line, the log the rest.
        error = first_of(error)
        if is_of_output(error):
            raise error from None
        failure = name_failure(error, context)
        # A plugin's settings are told of when it registers, and again by whoever needs it.
        return _end(failure, arguments, is_told=context.logs.has_said(clean(str(failure))))
    finally:
        context.logs.close()


def _invoke(arguments: list[str], context: Context) -> int:
    app = build_app()
    if "_STEMBRIDGE_COMPLETE" in os.environ:
        app.main(arguments, prog_name="stembridge", obj=context)
    # Not app.main: it would end the process by its own rules when a reader goes away.
    with app.make_context("stembridge", arguments, obj=context) as command:
        return int(app.invoke(command) or 0)


def _end(error: StembridgeError, arguments: Sequence[str], *, is_told: bool = False) -> int:
    """Tell people of the error that ended the command, and programs that read standard output too."""
    if not is_told:
        _tell(str(error), error.exit_code)
    if _is_for_programs(arguments):
        from plugin_core.console.records import describe_end, describe_error, write_record

        write_record(describe_error(None, error))
        write_record(describe_end(error.exit_code))
    return error.exit_code


def _end_interrupted(message: str, arguments: Sequence[str]) -> int:
    if _is_for_programs(arguments):
        from plugin_core.console.records import describe_end, write_record

        write_record(describe_end(ExitCode.INTERRUPTED))
    return _tell(message, ExitCode.INTERRUPTED)


def _is_for_programs(arguments: Sequence[str]) -> bool:
    """Tell whether JSON was asked for, also on a line that cannot be understood."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _tell(message: str, code: int) -> int:
    # Where standard error cannot be written there is nobody left to tell, and the exit code still says it.
    with suppress(OSError):
        print(f"stembridge: {clean(message)}", file=sys.stderr, flush=True)
    return code


def _replace_missing_streams() -> None:
    """Give a process that was started without a standard stream one that leads nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # Never closed: it stands in for the process's own.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


def _let_any_name_be_printed() -> None:
    """Escape what the terminal's encoding lacks; a file name must not end a command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _forget_output() -> None:
    """Send the rest to nowhere, so that the interpreter's own last flush stays quiet too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
