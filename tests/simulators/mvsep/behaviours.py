"""What jobs do and how their results look, for all uploads or those of certain names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.simulators.mvsep.walks import INSTANT, LONG, SHORT, Step

LIFETIME = 72 * 3600.0
WALKS = {"instant": INSTANT, "short": SHORT, "long": LONG}


@dataclass(frozen=True)
class Behaviour:
    """How a job goes and ends.

    Attributes:
        walk: the statuses before done.
        region: the node the job lives on; None for the one that got it.
        lifetime: seconds until it expires.
        time_left: said in the history instead of the truth.
        has_type: whether files say which stem they are.
        has_bytes: "int", "text" or "" for none.
        is_empty: done, and no files.
        says_other: an instrumental is called Other.
        download: the name a file is to be saved as; ``{name}`` for the true one, ``../../{name}`` to be nasty.
        delay: frames of silence before each result, as lossy encoders add.
        sample_rate: of the results; None for that of the source.
        remote_misses: polls of get-remote that say not_found, before a link is fetched.
        remote_walk: what get-remote says then, before done.
        remote_failure: why a link cannot be fetched, instead of fetching it.
        success: what ``success`` is when true: ``"true"`` and 1 have been seen.
    """

    walk: tuple[Step, ...] = SHORT
    region: int | None = None
    lifetime: float = LIFETIME
    time_left: int | None = None
    has_type: bool = True
    has_bytes: str = ""
    is_empty: bool = False
    says_other: bool = False
    download: str = "{name}"
    delay: int = 0
    sample_rate: int | None = None
    remote_misses: int = 2
    remote_walk: tuple[Step, ...] = SHORT
    remote_failure: str = ""
    success: Any = True

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Behaviour:
        """Read what another process sends: walks by name, or as lists of steps."""
        walks: dict[str, Any] = {key: _read_walk(value[key]) for key in ("walk", "remote_walk") if key in value}
        return cls(**{**value, **walks})


def _read_walk(value: str | list[dict[str, Any]]) -> tuple[Step, ...]:
    return WALKS[value] if isinstance(value, str) else tuple(Step(**step) for step in value)
