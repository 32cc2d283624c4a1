"""Keys that are equal when two jobs would buy the same thing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec

from plugin_core.model import Operation, Separation, Tagging, encode_path, to_json

_FORCED = ":forced"


def dedupe_key(content_sha256: str, operation: Operation, account: str) -> str:
    """Return the key of content, operation and account; where results go, or how labels are written, is no part."""
    if isinstance(operation, Separation):
        operation = msgspec.structs.replace(operation, to=None, template="")
    else:
        # Labels are bought with their probabilities; which of them go where is decided when they are written.
        operation = Tagging(provider=operation.provider)
    plain = msgspec.to_builtins(operation, enc_hook=encode_path)
    text = json.dumps([content_sha256, plain, account], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def is_same_wish(one: Operation, other: Operation) -> bool:
    """Tell whether two operations give the same, wherever it goes and however labels are written."""
    if isinstance(one, Separation) and isinstance(other, Separation):
        one = msgspec.structs.replace(one, to=other.to, template=other.template)
        return one == other
    return isinstance(one, Tagging) and isinstance(other, Tagging)


def place_of(operation: Operation) -> tuple[Path | None, str]:
    """Return what of an operation says where results go or how labels are written, no part of its key."""
    if isinstance(operation, Separation):
        return operation.to, operation.template
    return None, to_json(operation).decode()


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
