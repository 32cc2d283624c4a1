"""Where every command ends: each error becomes one line and an exit code, here and nowhere else."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence

import click

from plugin_core.cli.app import build_app
from plugin_core.cli.display.words import clean
from plugin_core.cli.face import Face
from plugin_core.cli.interrupt import NothingBegunError
from plugin_core.errors import ExitCode, StembridgeError


def run(arguments: Sequence[str], face: Face | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: what follows ``stembridge``.
        face: settings and plugins; default the user's own.
    """
    _replace_missing_streams()
    face = face or Face()
    face.logs.open(verbose=False, quiet=False)
    _let_any_name_be_printed()
    try:
        code = _run(list(arguments), face)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        return ExitCode.INTERRUPTED
    except OSError as error:
        _forget_output()
        return _tell(f"standard output cannot be written: {error.strerror or error}", ExitCode.FAILED)
    finally:
        face.logs.close()
    return code


def _run(arguments: list[str], face: Face) -> int:
    try:
        return _invoke(arguments, face)
    except click.exceptions.Exit as exit_asked:
        return exit_asked.exit_code
    except click.UsageError as error:
        return _tell(_describe_usage(error), ExitCode.USAGE)
    except click.ClickException as error:
        return _tell(error.format_message(), ExitCode.USAGE)
    except NothingBegunError:
        return _tell("nothing was begun", ExitCode.INTERRUPTED)
    except (click.Abort, KeyboardInterrupt):
        return _tell("interrupted; what was begun goes on with: stembridge jobs resume", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence: a person sees one line, the log the rest
        return _tell_any(error, face)


def _invoke(arguments: list[str], face: Face) -> int:
    app = build_app()
    if "_STEMBRIDGE_COMPLETE" in os.environ:
        app.main(arguments, prog_name="stembridge", obj=face)
    # Not app.main: it would end the process by its own rules when a reader goes away.
    with app.make_context("stembridge", arguments, obj=face) as context:
        return int(app.invoke(context) or 0)


def _tell_any(error: Exception, face: Face) -> int:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and _is_of_output(error):
        raise error
    if isinstance(error, StembridgeError):
        # A plugin's settings are told of when it registers, and again by whoever needs it.
        return error.exit_code if face.logs.has_said(clean(str(error))) else _tell(str(error), error.exit_code)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    kept = face.logs.keep_traceback(what, error)
    where = f"details in {face.logs.path}" if kept else f"{face.logs.path} cannot be written"
    return _tell(f"{what}; {where}", ExitCode.FAILED)


def _tell(message: str, code: int) -> int:
    print(f"stembridge: {clean(message)}", file=sys.stderr)
    return code


def _describe_usage(error: click.UsageError) -> str:
    message = _describe_no_such_option(error) if isinstance(error, click.NoSuchOption) else error.format_message()
    message = message[:1].lower() + message[1:].rstrip(".")
    path = error.ctx.command_path if error.ctx else "stembridge"
    return f"{message}; try '{path} --help'"


def _describe_no_such_option(error: click.NoSuchOption) -> str:
    root = error.ctx.find_root() if error.ctx is not None and error.ctx.parent is not None else None
    if error.ctx is not None and root and any(error.option_name in param.opts for param in root.command.params):
        words = error.ctx.command_path.removeprefix(root.command_path)
        return f"{error.option_name} goes before the command: {root.command_path} {error.option_name}{words}"
    near = difflib.get_close_matches(error.option_name, error.possibilities or (), n=1)
    return f"no option {error.option_name}" + (f", did you mean {near[0]}?" if near else "")


def _is_of_output(error: OSError) -> bool:
    """Tell whether an error came from printing: it names no file and was raised where things are shown."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""
    return error.filename is None and module.startswith(("plugin_core.cli.", "click.", "rich."))


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
