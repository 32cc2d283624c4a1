"""What equal jobs are found by, and the job that is made of a plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import FieldInfo, fields

from plugin_core.files.database import new_id
from plugin_core.model import Job, JobState, Operation, Plan, Separation, Source, Tagging, encode_path, to_json
from plugin_core.purchases.purchase import Bill

_FORCED = ":forced"
_fields_of: Final = cache(fields)
"""They are worked out of annotations, which takes longer than all the rest of a key."""

_ALWAYS: Final = {
    "separation": frozenset(
        ("kind", "provider", "model", "options", "stems", "minus", "residual", "format", "to", "template")
    ),
    "tagging": frozenset(
        (
            *("kind", "provider", "dimensions", "min_probability", "labels", "policy", "thresholds", "policies"),
            *("language_codes", "provenance", "write"),
        )
    ),
}
"""The fields that stand in every key, by kind. One that an operation gains later stands there when it is not at its
default, so that what was bought before it came is known all the same; nothing is ever added here or taken away."""


def dedupe_key(content_sha256: str, operation: Operation, account: str) -> str:
    """Return the key of content, operation and account.

    Where results go, which session files stand beside them, or how labels are written, is no part.
    """
    # Labels are bought with their probabilities; which of them go where is decided when they are written.
    operation = _unplaced(operation) if isinstance(operation, Separation) else Tagging(provider=operation.provider)
    text = json.dumps(
        [content_sha256, _plain(operation), account], sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _plain(operation: Operation) -> dict[str, object]:
    """Return an operation's fields as they stand in its key."""
    plain: dict[str, object] = msgspec.to_builtins(operation, enc_hook=encode_path)
    usual = {
        field.encode_name for field in _fields_of(type(operation)) if getattr(operation, field.name) == _default(field)
    }
    always = _ALWAYS[str(plain["kind"])]
    return {name: value for name, value in plain.items() if name in always or name not in usual}


def _default(field: FieldInfo) -> object:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def is_same_wish(one: Operation, other: Operation) -> bool:
    """Tell whether two operations give the same, wherever it goes and however labels are written."""
    if isinstance(one, Separation) and isinstance(other, Separation):
        return _unplaced(one) == _unplaced(other)
    return isinstance(one, Tagging) and isinstance(other, Tagging)


def _unplaced(wish: Separation) -> Separation:
    """Return a wish without what says where its results go and which session files stand beside them."""
    return msgspec.structs.replace(wish, to=None, template="", project="")


def is_same_place(job: Job, other: Job) -> bool:
    """Tell whether the results of two jobs belong to the same file, and go to the same place or are written alike."""
    return place_of(job.source, job.operation) == place_of(other.source, other.operation)


def place_of(source: Source, operation: Operation) -> tuple[Path, Path | None, str]:
    """Return a source's path, and what of an operation says where results go or how labels are written."""
    if isinstance(operation, Separation):
        return source.path, operation.to, operation.template
    return source.path, None, to_json(operation).decode()


def forced_key(key: str) -> str:
    """Mark a key as forced: the job is bought even where a finished one with the key exists.

    A forced job with the same key that is under way is joined.
    """
    return f"{base_key(key)}{_FORCED}"


def is_forced(key: str) -> bool:
    """Tell whether the user asked to buy again."""
    return key.endswith(_FORCED)


def base_key(key: str) -> str:
    """Return the key without its mark: what finished jobs are found by."""
    return key.removesuffix(_FORCED)


def make_job(
    source: Source,
    plan: Plan,
    *,
    bill: Bill,
    host: str,
    preset: str,
    force: bool,
    may_buy: bool,
    clock: Callable[[], float],
) -> Job:
    """Return a job that nobody has stored yet.

    Args:
        source: what is worked on.
        plan: what is done to it.
        bill: what it is found by, and what it would buy.
        host: who asks for it.
        preset: by which preset, if any.
        force: whether it is made and bought whatever there is.
        may_buy: the user's word that it may be bought again where what was bought before is gone.
        clock: seconds since the epoch.
    """
    now = clock()
    return Job(
        id=new_id(clock),
        state=JobState.QUEUED,
        operation=plan.operation,
        source=source,
        account=bill.account,
        dedupe=forced_key(bill.key) if force else bill.key,
        recording=bill.recording,
        quote=bill.quote,
        may_buy=may_buy or force,
        host=host,
        preset=preset,
        created=now,
        updated=now,
        notes=plan.notes,
    )
