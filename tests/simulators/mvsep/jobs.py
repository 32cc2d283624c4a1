"""Jobs as the service has them, and the links it fetches before."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from tests.simulators.blobs import Blob
from tests.simulators.mvsep.algorithms import Model
from tests.simulators.mvsep.behaviours import LIFETIME, Behaviour
from tests.simulators.mvsep.results import Result
from tests.simulators.mvsep.walks import TERMINAL, Walker


@dataclass
class Order:
    """What a create asked for, checked."""

    token: str
    model: Model
    options: dict[str, str]
    output_format: str
    is_demo: bool
    filename: str
    upload: Blob | None
    digest: str
    seconds: float | None
    """None: no audio."""
    behaviour: Behaviour
    url: str = ""


@dataclass
class Job:
    """One separation."""

    number: int
    hash: str
    order: Order
    node: int
    created: float
    walker: Walker
    credits: int = 0
    results: list[Result] | None = None
    failure: str = ""
    is_cancelled: bool = False
    is_deleted: bool = False
    hidden_until: float = 0.0
    hidden_lists: int = 0
    lifetime: float = LIFETIME

    @property
    def token(self) -> str:
        return self.order.token

    @property
    def expires(self) -> float:
        return self.created + self.lifetime

    def status(self, now: float) -> str:
        """Return where it is, without a poll."""
        if self.is_cancelled or self.is_deleted or now >= self.expires:
            return "not_found"
        return "failed" if self.failure else self.walker.look(now).status

    def is_active(self, now: float) -> bool:
        """Tell whether it counts as unprocessed."""
        return self.status(now) not in (*TERMINAL, "not_found")

    def is_hidden(self, now: float) -> bool:
        return now < self.hidden_until or self.hidden_lists > 0

    def as_json(self, now: float) -> dict[str, Any]:
        return {
            "hash": self.hash,
            "status": self.status(now),
            "filename": self.order.filename,
            "sha256": self.order.digest,
            "token": self.token,
            "sep_type": self.order.model["render_id"],
            "options": self.order.options,
            "output_format": self.order.output_format,
            "node": self.node,
            "credits": self.credits,
            "is_cancelled": self.is_cancelled,
            "is_deleted": self.is_deleted,
        }


@dataclass
class RemoteJob:
    """A link the service fetches first; ``job`` is what comes of it."""

    hash: str
    order: Order
    node: int
    created: float
    walker: Walker
    misses: int
    job: Job | None = None
    failure: str = ""

    @property
    def is_active(self) -> bool:
        return self.job is None and not self.failure


def slug(filename: str) -> str:
    """Return a file name as hashes hold it: lower case, hyphens, and the suffix."""
    path = PurePosixPath(filename.replace("\\", "/"))
    plain = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode("ascii").lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "audio"
    return stem + path.suffix.lower()


def human_size(count: int) -> str:
    return f"{count / 1e6:.2f} MB"
