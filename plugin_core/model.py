"""The nouns every part shares: frozen, typed, and JSON in the job store as they stand here.

Times are seconds since the Unix epoch, durations seconds, sizes bytes, sample rates hertz.
Those that people wish for stand in ``wishes``, their JSON in ``encoding``.
"""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path

import msgspec

from plugin_core.json_codec import decode_path as decode_path
from plugin_core.json_codec import encode_path as encode_path
from plugin_core.json_codec import from_json as from_json
from plugin_core.json_codec import to_json as to_json
from plugin_core.wishes import OnOverload as OnOverload
from plugin_core.wishes import Operation as Operation
from plugin_core.wishes import Separation as Separation
from plugin_core.wishes import Tagging as Tagging

STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, line ends and changes of writing direction: file names and services' words may hold them."""


class JobState(StrEnum):
    """Where a job is in its life; each state is committed before the effect it names."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    RUNNING = "running"
    FETCHING = "fetching"
    PUBLISHING = "publishing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNCONFIRMED = "unconfirmed"

    @property
    def is_active(self) -> bool:
        """Tell whether the engine still has something to do for the job."""
        return self not in _SETTLED

    @property
    def is_settled(self) -> bool:
        """Tell whether the job waits for nobody but, perhaps, the user (done, failed, cancelled, unconfirmed)."""
        return self in _SETTLED


_SETTLED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.UNCONFIRMED})


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """An audio file as it was when the job was made."""

    path: Path
    device: int
    inode: int
    size: int
    mtime_ns: int
    content: str
    """SHA-256 of the file's bytes, hexadecimal."""
    duration: float
    frames: int
    """Samples in each channel; from the header, 0 when the container does not say."""
    channels: int
    sample_rate: int
    encoding: str
    """``pcm_u8``, ``pcm_s8``, ``pcm_16``, ``pcm_24``, ``pcm_32``, ``float``, ``double`` or ``lossy``."""


def stat_key(found: os.stat_result) -> tuple[int, int, int, int]:
    """Return what of a file's status changes when it is replaced or written to, as a ``Source`` holds it."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def source_key(source: Source) -> tuple[int, int, int, int]:
    """Return the ``stat_key`` of the file that a source was made of."""
    return source.device, source.inode, source.size, source.mtime_ns


class ModelOption(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be chosen or written for a model: ``--option NAME=KEY``."""

    name: str
    title: str = ""
    """What people call it."""
    choices: dict[str, str] = {}
    """Texts by key, of which one is chosen; empty where any text will do."""
    default: str = ""
    """The key or text it has when it is left out; empty for none."""
    is_required: bool = False
    """Whether it must be given: it has no default, and the model wants one."""
    when: str = ""
    """In words, where it applies; empty for always."""
    multipliers: dict[str, str] = {}
    """What a choice multiplies the price with, by key."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One way a separator can split: what ``stembridge models`` lists."""

    id: str
    name: str
    stems: tuple[str, ...]
    credits_per_minute: float = 0.0
    price: str = ""
    """What is paid, in words, where the service has no credits: ``billed by Example Cloud``."""
    access: str = "everyone"
    """``everyone``, ``registered`` or ``premium``."""
    rating: float | None = None
    summary: str = ""
    results: str = ""
    """What comes back where that is no stems of the song: ``speech``, ``text``, ``midi``, ``restored``, ..."""
    state: str = ""
    """Of one that works on this machine: ``here``, ``in part here`` or ``to fetch``."""
    size: int | None = None
    """Bytes of its files, where it has any."""
    licence: str = ""
    """Of its weights, in words, where it has any."""
    takes: str = "song"
    """``song``, ``no song`` (a model that makes sound of words), or ``two songs``; only the first are separated."""
    options: tuple[ModelOption, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether it can be used now; else its files are not on this machine."""
        return self.state != "to fetch"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider will do for one source, said before anything is spent."""

    operation: Operation
    """The operation with every default filled in: equal plans mean equal results."""
    title: str = ""
    """What people call the model, where ``operation.model`` is but a number."""
    stems: tuple[str, ...] = ()
    """Canonical names the model will give, as far as known."""
    credits: float | None = None
    """Estimated price in the service's credits; None where the service has no price."""
    seconds: float | None = None
    """Estimated working time."""
    notes: tuple[str, ...] = ()
    defaults: dict[str, str] = {}
    """Options of the model at what the service takes when they are left out: no part of what a purchase is found by."""
    output: str = ""
    """Name of the format (``plugin_core.audio.formats``) that the service writes, where it can be chosen."""
    output_option: str = ""
    """The option that chooses it."""
    asides: tuple[str, ...] = ()
    """Options that change nothing of what is bought: who is told when it is done."""
    is_output_wished: bool = False
    """Whether the user named that format, which is then the least that will do."""
    refusal: Exception | None = None
    """Why nothing new can be had now: of the account, or since the service is silent. What stands is had anyway."""


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a service would be sent for a job, and its price; what is derived here afterwards is no part."""

    sent: dict[str, str] = {}
    """Model and options, by name, as resolved."""
    defaults: dict[str, str] = {}
    """Those of ``sent`` that are what the service takes anyway, as it was then."""
    dimensions: tuple[str, ...] = ()
    """Of labels."""
    output: str = ""
    """Format that the service writes."""
    depth: int = 16
    """Bits that the service's format must hold to do for the wish."""
    title: str = ""
    """What people call the model."""
    credits: float | None = None


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider needs to find its own job again; never holds a secret."""

    remote_id: str
    origin: str = ""
    """API origin the job lives on, where a service has several."""
    data: dict[str, str] = {}


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a step is; everything a service does not say is None."""

    fraction: float | None = None
    note: str = ""
    queue_position: int | None = None
    queue_length: int | None = None
    parts_done: int | None = None
    parts_all: int | None = None


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """One result as the provider announces it; every text is data, never a path."""

    label: str
    """The provider's own word for the part ("Instrum")."""
    stem: str
    """Canonical name of the part."""
    name: str
    """Suggested file name, untrusted."""
    url: str = ""
    size: int | None = None
    md5: str = ""


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """One finding about a song."""

    dimension: str
    value: str
    """As the service says it."""
    english: str = ""
    probability: float | None = None


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a tagging did to its source, and how to undo it. Fields have the names of ``plugin_core.tags.fields``."""

    path: Path
    """The file itself, where the source is a link to it."""
    before: str
    """SHA-256 of the file as it was read, hexadecimal."""
    after: str
    """SHA-256 of the file as it was put in place; the same as ``before`` when nothing was to be written."""
    fields: dict[str, tuple[str, ...]] = {}
    previous: dict[str, tuple[str, ...]] = {}
    """What stood in those fields; empty where nothing did."""
    keys: dict[str, dict[str, tuple[str, ...]]] = {}
    """What each key of each tag held of those fields: ``{"mood": {"id3 TMOO": ()}}``."""
    left: dict[str, str] = {}
    """Why nothing was written, by dimension, in words for people."""
    notes: tuple[str, ...] = ()
    recipe: bytes = b""
    """How to get the old file back from the new one, byte for byte; empty when that would take too much room."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a login must know."""

    name: str
    text: str
    hidden: bool = True
    """Whether what is typed must not be seen."""


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has and may do, as its service says now."""

    plan: str
    """The service's own word: guest, free, premium, ..."""
    credits: float | None = None
    slots: int | None = None
    """Jobs that may be alive at once."""
    details: dict[str, str] = {}
    """Everything else worth a line, by its name for people."""


class Verdict(StrEnum):
    """How an examination ended."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one examination of ``stembridge doctor`` found."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One fetched result in the job's staging folder, not yet treated or placed."""

    stem: str
    label: str
    path: Path
    is_audio: bool = True
    """False for MIDI, text and the like: placed as it came, only its presence is verified."""
    exact: bool = False
    """Whether the parts are promised to sum to the source within one step of their format."""
    gain: float = 1.0
    """Its level against the source's: of a finished stem that was scaled."""


class Stem(msgspec.Struct, frozen=True, kw_only=True):
    """One finished part, verified; placed beside the source once its job is done."""

    name: str
    """Canonical name: vocals, instrumental, drums, bass, other, ... or ``no-drums``, ``residual``."""
    label: str
    path: Path
    size: int
    sha256: str
    gain: float = 1.0
    """What it was multiplied with, so that nothing was clipped; the same for all stems of a job."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job failed or waits, in words for people."""

    kind: str
    """Name of the error class."""
    message: str
    remedy: str = ""
    exit_code: int = 1
    needs_word: bool = False
    """Whether it was paid for and is not to be had: only the user's word buys it again."""
    since: float | None = None
    """When a job that waits met it, or what it met just before; seconds since the epoch."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one source, as the store holds it."""

    id: str
    state: JobState
    operation: Operation
    source: Source
    account: str
    """Whose slots the job takes: provider, and the account's fingerprint when it has one."""
    dedupe: str
    """What equal jobs have in common: of a service their purchase, of an engine on this machine the whole operation."""
    recording: str = ""
    """What the source sounds like, whatever file it is in: the id of a recording."""
    quote: Quote | None = None
    """What it would buy; None for an engine on this machine."""
    purchase: str = ""
    """The purchase it goes on from, once there is one."""
    may_buy: bool = False
    """The user's word that it may be bought again, though it was bought before."""
    host: str = "cli"
    preset: str = ""
    created: float
    updated: float
    due: float = 0.0
    attempts: int = 0
    """Tries of the present state that ended in a transient error."""
    cancel: bool = False
    staging: Path | None = None
    """The job's private folder, on the file system of the destination."""
    ticket: Ticket | None = None
    progress: Progress | None = None
    results: tuple[RemoteFile, ...] = ()
    labels: tuple[Label, ...] = ()
    staged: tuple[Stem, ...] = ()
    """Verified results still in staging, persisted on entry to ``publishing``."""
    target: Path | None = None
    """Where the results go, persisted before the first rename."""
    stems: tuple[Stem, ...] = ()
    projects: tuple[Stem, ...] = ()
    """The session files beside them, by format, with what was recorded as they were made: no hash of a user's own."""
    notes: tuple[str, ...] = ()
    """What the user should know though nothing failed: an offset removed, a format changed."""
    problem: Problem | None = None
    resume: JobState | None = None
    """Where a failed job goes on once it is retried, its staging kept until then; None: where its purchase says."""
    written: Written | None = None
    """What a done tagging did to its source."""


def disarm(text: str) -> str:
    """Write text on one line that any terminal and any log can print; what would steer them becomes an escape."""
    if text.isprintable():
        # As nearly all are: none of what steers is.
        return text
    encodable = text.encode("utf-8", "backslashreplace").decode()
    return STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), encodable)


def show_path(path: Path) -> str:
    """Write a path as ``disarm`` writes any text."""
    return disarm(str(path))


def amount(value: float) -> str:
    """Write a number without needless digits: 12, 0.5, 1.25."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def count_credits(value: float) -> str:
    """Write a price: 1 credit, 2.5 credits."""
    return f"{amount(value)} credit" if value == 1 else f"{amount(value)} credits"
