"""What else a provider can do: it says so by having the methods of these.

What ``plugin_core.protocols`` says of methods holds here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from plugin_core.model import AccountState, Finding, Label, Model, Operation, Question, Source, Tagging, Ticket
from plugin_core.settings import Secret


@runtime_checkable
class TakesOver(Protocol):
    """A provider whose service may have jobs that were not made here: ``stembridge fetch``."""

    async def take_over(self, remote_id: str) -> Ticket:
        """Return the ticket of a job of this account by the service's own id; nothing is bought.

        Its ``data`` may name the ``model`` that made it.

        Raises:
            ServiceError: the service knows no such job.
        """


@runtime_checkable
class TakesLinks(Protocol):
    """A separator whose service fetches a song from the user's own link: ``stembridge separate https://...``."""

    def accept_link(self, link: Secret) -> Path:
        """Return a file that stands for the song behind a link; the link itself is kept out of jobs and of sight.

        Raises:
            UsageError: it is no such link.
        """

    def stands_in(self, path: Path) -> bool:
        """Tell whether a file only stands for a song, or for words: no result is held against it."""


@runtime_checkable
class KeepsFiles(Protocol):
    """A provider that keeps files of its own in the home for its jobs: ``stembridge jobs prune`` lets go of them."""

    def unneeded(self, is_needed: Callable[[Path], bool], now: float) -> Sequence[Path]:
        """Return the files and folders that nobody needs any more.

        Args:
            is_needed: tells whether the song of a job lies at a path or below it.
            now: seconds since the epoch.
        """


@runtime_checkable
class FindsModels(Protocol):
    """A separator that knows more models than it lists, or a model by other words than its id and name."""

    async def model(self, word: str) -> Model:
        """Return the model that a word means.

        Raises:
            UsageError: none, or several.
        """


@runtime_checkable
class MayBeChosen(Protocol):
    """An engine on this machine that ``--provider auto`` may choose: the one of the highest preference that can."""

    @property
    def preference(self) -> float:
        """How good its stems are beside those of other engines."""

    def speed(self, model: str) -> float | None:
        """Return how many times as fast as they play it separated songs on this machine; None if it did not yet."""


class ModelOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What fetching a model would bring, said before anything is fetched."""

    id: str
    name: str
    licence: str
    """In words."""
    commerce: str
    """What whoever published it says of commercial use: ``allowed``, ``not stated`` or ``forbidden``."""
    author: str
    page: str
    """Where people read about it."""
    folder: Path
    """Where its files are kept."""
    here: dict[str, Path]
    """The files that are on this machine already, by name."""
    missing: dict[str, int]
    """Bytes of those that are not; 0 where nobody says."""
    addresses: dict[str, tuple[str, ...]]
    """Where those can be had."""


@runtime_checkable
class FetchesModels(Protocol):
    """An engine whose models are fetched: ``stembridge models fetch``."""

    def offer_model(self, word: str, stems: tuple[str, ...] = ()) -> ModelOffer:
        """Say what fetching a model would bring, or what of it gives some stems; reads files, and asks nobody.

        Raises:
            UsageError: there is none of that name, or it does not give them.
        """

    async def fetch_model(
        self, word: str, stems: tuple[str, ...], tell: Callable[[int, int | None], None]
    ) -> Sequence[Path]:
        """Fetch what is missing, and return where all of it is; ``tell`` hears of bytes that came, and of how many."""

    async def take_model(self, word: str, paths: Sequence[Path]) -> Sequence[str]:
        """Copy files that the user has, and return which of the model's they are.

        Raises:
            UsageError: one is none of the model's.
        """


@runtime_checkable
class PricesAnew(Protocol):
    """A provider of whose account it depends whether a job costs something: that may change while the job waits."""

    async def price_now(self, source: Source, wish: Operation) -> float | None:
        """Return the credits that a job costs now whose plan was free."""


@runtime_checkable
class ReadsAgain(Protocol):
    """A tagger of whose answers, which are kept whole (``Finished.answer``), a later version may understand more."""

    def read_again(self, answer: str, wish: Tagging) -> tuple[Sequence[Label], Sequence[str]]:
        """Return the labels that an answer holds for a wish, and what is to be said of the rest; asks nobody."""


class RemoteJob(msgspec.Struct, frozen=True, kw_only=True):
    """One job as its service describes it."""

    id: str
    state: str
    """In the service's own word."""
    name: str = ""
    """What whoever made it called it; the submission key, if that was stembridge."""
    song: str = ""
    created: str = ""
    reason: str = ""
    """Why it failed, in the service's words."""
    results: tuple[str, ...] = ()


@runtime_checkable
class HasJobs(Protocol):
    """A provider whose service can be asked about its jobs, also those that were not made here."""

    async def remote_jobs(self, name: str) -> Sequence[RemoteJob]:
        """Return the jobs of a name, or the newest ones of any, at most a hundred."""

    async def remote_job(self, remote_id: str) -> RemoteJob:
        """Return one job.

        Raises:
            GoneError: the service knows no such job.
        """


@runtime_checkable
class HasAccount(Protocol):
    """A provider whose account can be asked about: ``stembridge account``."""

    async def account_state(self) -> AccountState:
        """Ask the service what the account has and may do."""


@runtime_checkable
class HasLogin(Protocol):
    """A provider that needs secrets: ``stembridge login NAME`` asks for them and keeps them in the keyring."""

    @property
    def section(self) -> str:
        """The settings section they belong to."""

    @property
    def token(self) -> str:
        """Key of the one setting that suffices alone, for ``login NAME --token``; "" when there is none."""

    @property
    def questions(self) -> Sequence[Question]:
        """What to ask on the terminal."""

    async def login(self, answers: Mapping[str, Secret]) -> Mapping[str, Secret]:
        """Turn the answers into settings to keep, by key of the provider's settings section.

        Raises:
            RefusedError: the service does not accept them.
        """


@runtime_checkable
class HasDiagnostics(Protocol):
    """A provider or stager that ``stembridge doctor`` can examine; spends nothing, and leaves everything as it was."""

    async def examine(self) -> Sequence[Finding]:
        """Return one finding for each thing that must be right, in plain words."""


@runtime_checkable
class HasCallbacks(Protocol):
    """A provider whose service can call when a job ended: ``stembridge listen`` gives it an address of its own."""

    def read_callback(self, body: bytes, content_type: str) -> Collection[str]:
        """Return the names in a call: ids of the service's, or submission keys. They wake jobs and are never believed.

        Called in a thread, with at most 256 KiB that anybody may have sent.

        Raises:
            ServiceError: it cannot be read.
        """
