"""Every error stembridge raises on purpose, as one tree.

::

    StembridgeError                 exit 1
    ├── UsageError                  exit 2   the command or an option is wrong
    │   └── SettingsError           exit 2   config.toml or an environment variable is wrong
    │       └── MissingModelError   exit 2   an engine's model is not on this machine
    ├── SourceError                 exit 1   the input file cannot be used
    │   └── MissingToolError        exit 1   it could be with ffmpeg, which is not there
    ├── PlacementError              exit 1   the result cannot be put where it belongs
    │   └── ResultError             exit 1   the result itself is no good: damaged, of another song, or gone
    ├── ServiceError                exit 1   the service failed this job, in its own words
    │   ├── UnchargedError          exit 1   it ended the job itself and takes nothing for it
    │   ├── GoneError               exit 1   it no longer has the job, or no longer its results
    │   └── RefusedError            exit 3   credentials, credits or plan: of the account, never of one file
    ├── TransientError              exit 1   will pass by itself: retried with backoff, never given up silently
    │   ├── UnclearAnswerError      exit 1   the service answered, and not about the job
    │   └── SpoiltFileError         exit 1   a download is not the file that was announced: fetched again a few times
    ├── UnresolvedError             exit 1   such answers for too long: the job is kept as it is
    ├── OutcomeUnknownError         exit 4   a paid call was sent and its answer lost
    ├── BoughtBeforeError           exit 1   it was bought, its results are gone, and nobody said to buy it again
    ├── PluginError                 exit 1   a plugin broke its promise
    └── StoreError                  exit 1   the job store cannot be used

An error says what happened and with which file (``message``), what to do (``remedy``), whether trying
again can help (``retryable``), whether another machine may have what this one lacks (``elsewhere``) and how a command
that ends with it exits (``exit_code``).
This module imports nothing of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """How a command ends; part of the command line's contract."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNCONFIRMED = 4
    INTERRUPTED = 130


class StembridgeError(Exception):
    """The root: anything a user may be told in one line."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    retryable: ClassVar[bool] = False
    elsewhere: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class UsageError(StembridgeError):
    """The command, an option or an argument is wrong."""

    exit_code = ExitCode.USAGE


class SettingsError(UsageError):
    """A setting is wrong; the message names the file, line and key, or the environment variable."""


class MissingModelError(SettingsError):
    """An engine lacks on this machine what the job was planned with: a model, or what runs it."""

    elsewhere = True


class SourceError(StembridgeError):
    """The input file cannot be read, is not audio, or lies outside what can be separated."""


class MissingToolError(SourceError):
    """The input file needs a program to be read that is not on this machine: once it is, the file may be fine."""

    elsewhere = True


class PlacementError(StembridgeError):
    """A verified result cannot be put beside the source, or a result did not pass verification."""


class ResultError(PlacementError):
    """A result is damaged, does not belong to the source, or is gone from staging: it must be had anew."""


class ServiceError(StembridgeError):
    """The service failed this job for good; the message carries its own words."""


class UnchargedError(ServiceError):
    """The service reports that the job failed or was cancelled, and takes nothing for it: it may be sent again."""


class GoneError(ServiceError):
    """The service no longer knows the job, or no longer keeps its results."""


class RefusedError(ServiceError):
    """The service refuses the account: credentials, credits or plan.

    Whoever has more to do waits with all of it until that is put right. What the service says of one file, such as a
    size that this plan does not take, is a SourceError; what it says of one job is a ServiceError.
    """

    exit_code = ExitCode.REFUSED


class TransientError(StembridgeError):
    """Something that passes by itself: network, 5xx, rate limit, a share that is gone, a full disk."""

    retryable = True

    def __init__(self, message: str, *, remedy: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after
        """Seconds to wait, when the other side named them."""


class UnclearAnswerError(TransientError):
    """The service answered, and not about the job: it is paid for, and asking again is free."""


class SpoiltFileError(TransientError):
    """What was downloaded is not the file that was announced: a web page, too short, of another digest."""


class UnresolvedError(StembridgeError):
    """No answer about the job could be understood for too long; it is kept as it is, and a retry looks again."""


class OutcomeUnknownError(StembridgeError):
    """A call that may cost money was sent and no answer came: it must be looked for, never repeated blindly."""

    exit_code = ExitCode.UNCONFIRMED


class BoughtBeforeError(StembridgeError):
    """What is asked for was paid for before and is to be had nowhere any more: only the user's word buys it again."""


class PluginError(StembridgeError):
    """A plugin raised something it may not, or could not be loaded; the message names the plugin."""


class StoreError(StembridgeError):
    """The job store cannot be opened or holds what this version cannot read."""


@contextmanager
def blame(plugin: str) -> Iterator[None]:
    """Name the plugin in whatever it raises that it may not.

    Raises:
        PluginError: for anything that is no StembridgeError.
    """
    try:
        yield
    except StembridgeError:
        raise
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(f"plugin {plugin} failed: {what}", remedy="tell its author") from error


def refusal_of(*checks: Callable[[], object]) -> StembridgeError | None:
    """Return what the first of some checks says that refuses; None where none does."""
    try:
        for check in checks:
            check()
    except StembridgeError as error:
        return error
    return None


def find_near(word: str, known: Iterable[str], *, many: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return at most ``many`` known words, nearest first; ``cutoff`` from 0 to 1 says how near they must be."""
    # Wanted only once something is wrong, and slow to import.
    import difflib

    return difflib.get_close_matches(word, list(known), n=many, cutoff=cutoff)


def suggest(
    word: str,
    known: Iterable[str],
    otherwise: str = "",
    *,
    lead: str = "",
    is_quoted: bool = True,
    cutoff: float = 0.6,
) -> str:
    """Return ``did you mean 'word'?`` with the nearest known word.

    Args:
        word: that is not known.
        known: words it may have been meant for.
        otherwise: what is returned when none is near.
        lead: what comes before the question, where there is one.
        is_quoted: whether the known word stands in quotes.
        cutoff: as of ``find_near``.
    """
    near = find_near(word, known, cutoff=cutoff)
    if not near:
        return otherwise
    return f"{lead}did you mean {repr(near[0]) if is_quoted else near[0]}?"


def suggest_key(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown word: the nearest known one, or all of them."""
    known = tuple(known)
    return suggest(word, known, f" (known: {', '.join(sorted(known))})", lead=", ")


def suggest_usual(word: str, usual: Iterable[str]) -> str:
    """Return the question for a word that may be anybody's own, but looks like a slip of a usual one; "" for others."""
    usual = tuple(usual)
    return "" if word in usual else suggest(word, usual, cutoff=0.7)


def install_hint(extra: str) -> str:
    """Return the command that adds what an extra names to the very Python that runs this."""
    import shlex

    return f"{shlex.quote(sys.executable)} -m pip install 'stembridge[{extra}]'"
