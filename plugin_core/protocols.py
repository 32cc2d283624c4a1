"""What a provider is: the promises the core asks of a separator, a tagger and a stager.

Methods run in the engine's event loop and must not block it; anything slow goes to a thread or a process.
They may raise the classes of ``plugin_core.errors`` and nothing else on purpose:
``TransientError`` is tried again later, any other ends the job with its text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, Protocol, runtime_checkable

import msgspec

from plugin_core.errors import ServiceError, UsageError, blame
from plugin_core.model import (
    Label,
    Model,
    Part,
    Plan,
    Progress,
    RemoteFile,
    Separation,
    Source,
    Tagging,
    Ticket,
    from_json,
    to_json,
)
from plugin_core.settings import Secret

Report = Callable[[Progress], None]
"""Tell the core how far a step is; cheap, may be called often."""

GRACE: Final = 180.0
"""Seconds after its creation in which a service may not know a job: its machines learn of it late."""


TOLD: Final = "told"
"""Name of the note that people read beside the results: what became of the source on its way."""


ANSWER: Final = "answer"
"""Name of the note that holds what a service said last of what was bought: whole, but for secrets."""


def keep_nothing(_name: str, _value: str) -> None:
    """Keep no notes: nothing of a job outlives the process that works on it."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One job as its provider sees it."""

    key: str
    """The submission key: the purchase's id, on this machine the job's; unique for ever."""
    attempt: str
    """Unique to this process and step: a file name no other process uses at the same time."""
    source: Source
    operation: Separation | Tagging
    """As the plan resolved it."""
    folder: Path
    """The purchase's own folder, on this machine a job's; it exists, and outlives a crash."""
    url: Secret = Secret("")
    """Where the service can read the source, for one that ``ReadsFromUrl``; set for ``submit`` only, never kept."""
    bucket: Bucket | None = None
    """Where the service leaves results, for one that ``ReturnsInBucket``; set for ``fetch`` and ``release`` only."""
    ticket: Ticket | None = None
    results: tuple[RemoteFile, ...] = ()
    note: dict[str, str] = {}
    """What the provider noted of what was bought, by name: also in processes before this one. No secrets."""
    keep_note: Callable[[str, str], None] = keep_nothing
    """How the core keeps a note; call ``write_note``."""
    sent: float = 0.0
    """When the service took the job, or it was found there; 0 where that is not known."""
    looked_since: float = 0.0
    """Since when a job whose answer was lost is looked for; 0 while it is not."""

    def write_note(self, name: str, value: str) -> None:
        """Note something that must be known in ``find`` or later, whatever happens: it is durable once this returns."""
        self.keep_note(name, value)
        self.note[name] = value

    def age(self, now: float) -> float:
        """Return the seconds since the service took the job; a clock that is set back does not make it young again."""
        return abs(now - self.sent)

    @property
    def separation(self) -> Separation:
        """The operation, for a separator.

        Raises:
            UsageError: it is no separation.
        """
        if not isinstance(self.operation, Separation):
            raise UsageError(f"the provider {self.operation.provider!r} separates and does not label")
        return self.operation

    @property
    def known_ticket(self) -> Ticket:
        """The ticket, of a job that the service has.

        Raises:
            ServiceError: there is none.
        """
        if self.ticket is None:
            raise ServiceError(f"job {self.key} has no id at {self.operation.provider}", remedy="retry the job")
        return self.ticket


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """The provider still works; ask again after ``seconds``."""

    seconds: float
    progress: Progress
    unclear: str = ""
    """What of the answer nobody understands, such as a state that is not documented: borne for a day or so."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The provider is done; ``files`` are ready to fetch, or ``labels`` are the answer."""

    files: tuple[RemoteFile, ...] = ()
    labels: tuple[Label, ...] = ()
    answer: str = ""
    """What the service said, whole but for secrets: kept with the purchase, for versions that understand more of it."""


class Provider(Protocol):
    """A service, or an engine on this machine, that takes jobs.

    What is to be known of a service besides, it may say in attributes named as those of ``Terms``.
    """

    @property
    def name(self) -> str:
        """The word users write after ``--provider``."""

    @property
    def title(self) -> str:
        """One line for people."""

    @property
    def remote(self) -> bool:
        """Whether a job lives on at the service when our process dies (and may cost money)."""

    def account(self) -> str:
        """Name the account whose slots jobs take: ``name`` or ``name:fingerprint``, never a secret."""

    async def slots(self) -> int:
        """Return how many jobs of this account may be alive at once."""

    async def submit(self, order: Order, report: Report) -> Ticket:
        """Start the job: the one call that may cost money.

        Raises:
            OutcomeUnknownError: the call was sent and its answer lost.
            TransientError: the job surely does not exist yet; try again later.
        """

    async def find(self, order: Order) -> Ticket | None:
        """Look for a job submitted with this key; None means the service does not list it.

        Whether it surely does not exist then is for the core to say, by the provider's ``register_seconds``.

        Raises:
            OutcomeUnknownError: the service cannot tell.
        """

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:
        """Ask how far the job is; an engine on this machine does its work here.

        Raises:
            GoneError: the service does not know the job; the core bears that while the job is new.
            UnchargedError: it failed, and costs nothing; any other ServiceError keeps it as paid for.
            UnclearAnswerError: the answer is none about the job; borne for a day or so.
            TransientError: no answer now.
        """

    async def cancel(self, order: Order) -> None:
        """Stop the job at the service, so that it is not charged."""

    async def release(self, order: Order) -> None:
        """Remove what the job left at the service; called once the job is settled, may be called again."""


@runtime_checkable
class Separator(Provider, Protocol):
    """A provider that splits a source into stems."""

    async def models(self) -> Sequence[Model]:
        """List what can be asked for."""

    async def plan(self, source: Source, wish: Separation) -> Plan:
        """Check the wish and fill in its defaults, before anything is uploaded or spent.

        Raises:
            UsageError: unknown model, option, stem or format.
            SourceError: this source is outside the limits.
            RefusedError: the account may not do this; as ``Plan.refusal`` it leaves the user what was made before.
        """

    async def fetch(self, order: Order, report: Report) -> Sequence[Part]:
        """Bring every result into ``order.folder``; called again after a crash, continues where it was."""


@runtime_checkable
class Tagger(Provider, Protocol):
    """A provider that labels a source."""

    async def plan(self, source: Source, wish: Tagging) -> Plan:
        """Check the wish and fill in its defaults, before anything is uploaded or spent."""


@runtime_checkable
class Stager(Protocol):
    """Makes a local file reachable by URL, for services that take nothing else."""

    @property
    def name(self) -> str:
        """The word users write in the settings."""

    async def stage(self, path: Path, key: str) -> str:
        """Put the file where the URL returned can be read for some hours."""

    async def unstage(self, key: str) -> None:
        """Remove the staged file; absent is fine."""


@runtime_checkable
class Bucket(Protocol):
    """A stager whose store also takes what services write: its objects can be read and removed by name.

    Names have no leading slash.
    """

    @property
    def name(self) -> str:
        """The word users write in the settings."""

    async def link(self, key: str) -> Secret | None:
        """Return a link good for some hours to one object; None when there is none."""

    async def find(self, beginning: str) -> Sequence[str]:
        """Return the names of all objects that begin so.

        Raises:
            ServiceError: the account may not list them.
        """

    async def remove(self, key: str) -> None:
        """Remove one object; absent is fine."""


@runtime_checkable
class ReadsFromUrl(Protocol):
    """A provider that can read the source from a URL: the core stages the file just before ``submit``."""

    @property
    def stager(self) -> str | None:
        """Name of the stager to use; "" for the only one there is, None to be handed the file and no URL."""


@runtime_checkable
class ReturnsInBucket(Protocol):
    """A provider whose service leaves results in a bucket of the user's, which ``fetch`` and ``release`` are handed."""

    @property
    def bucket(self) -> str:
        """Name of the stager that is this bucket; "" for the only stager there is that can be one."""


Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider may say in attributes of these names; each may be missing."""

    register_seconds: Seconds = 0.0
    """How long after a create the service's lists may miss the job: not listed is surely absent only then."""
    keeps_seconds: Seconds | None = None
    """How long the service keeps results; None for until they are released, or not known."""
    forgets: bool = True
    """Whether the results are gone from the service once it was told to release a job."""
    unclear_hours: Seconds = 24.0
    """How long answers that say nothing of a job are borne before it waits for its user's word."""


def terms_of(provider: Provider) -> Terms:
    """Return what a provider says of its service.

    Raises:
        PluginError: an attribute is no number of seconds or hours.
    """
    names = Terms.__struct_fields__
    with blame(provider.name):
        said = {name: getattr(provider, name) for name in names if hasattr(provider, name)}
        return from_json(to_json(said), Terms)
