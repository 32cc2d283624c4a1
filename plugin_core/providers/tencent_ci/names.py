"""The keys of our objects: each job has a folder of its own in the bucket, known from the job alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from plugin_core.stagers.ledger import check_key

SOURCE_SUFFIXES: Final = (".flac", ".wav")
"""What a source is uploaded as."""


def job_folder(prefix: str, key: str) -> str:
    """Return what the names of a job's objects begin with.

    Raises:
        UsageError: the job's key is none that may stand in a name.
    """
    return f"{prefix}{check_key(key)}/"


def source_key(prefix: str, key: str, suffix: str) -> str:
    """Return the name of a job's uploaded source."""
    return f"{job_folder(prefix, key)}source{suffix}"


def source_keys(prefix: str, key: str) -> tuple[str, ...]:
    """Return every name that a job's uploaded source can have."""
    return tuple(source_key(prefix, key, suffix) for suffix in SOURCE_SUFFIXES)


def output_keys(prefix: str, key: str, stems: Iterable[str]) -> dict[str, str]:
    """Return what CI is asked to name the stems; it fills in its own job id and the suffix."""
    return {stem: f"{job_folder(prefix, key)}${{jobid}}/{stem}.${{ext}}" for stem in stems}


def expected_keys(prefix: str, key: str, stems: Iterable[str], job: str, codec: str) -> tuple[str, ...]:
    """Return the names that the stems get, as far as can be known without asking."""
    asked = output_keys(prefix, key, stems).values()
    return tuple(name.replace("${jobid}", job).replace("${ext}", codec) for name in asked)


def file_name(key: str) -> str:
    """Return the last part of an object's name."""
    return PurePosixPath(key).name


def time_of_key(key: str) -> float | None:
    """Return when a submission key was made, seconds since the epoch, if it is a UUIDv7."""
    try:
        found = uuid.UUID(key)
    except ValueError:
        return None
    return (found.int >> 80) / 1000 if found.version == 7 else None
