"""Who may do what: guests, free and premium accounts, their credits and limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

MEGABYTE = 1_000_000
FREE_TOKEN = "free0free0free0free0free0free0"
PREMIUM_TOKEN = "premium0premium0premium0premiu"
GUEST = "guest"
_DAY = 86400


@dataclass
class Account:
    """One account; None for a limit means the plan's."""

    token: str
    name: str = "n"
    email: str = "n@example.org"
    password: str = "secret"
    is_premium: bool = False
    credits: int = 0
    long_filenames: bool = False
    max_jobs: int | None = None
    daily_limit: int | None = None
    max_bytes: int | None = None
    max_seconds: float | None = None
    credit_threshold: int = 0
    created: list[float] = field(default_factory=list)
    """When jobs were created that count against the daily quota."""

    @property
    def is_guest(self) -> bool:
        return self.token == GUEST

    @property
    def plan(self) -> str:
        return "premium" if self.is_premium else "unregistered" if self.is_guest else "registered"

    @property
    def job_limit(self) -> int:
        return self.max_jobs if self.max_jobs is not None else 10 if self.is_premium else 1

    @property
    def byte_limit(self) -> int:
        plan = 1000 * MEGABYTE if self.is_premium else 100 * MEGABYTE
        return self.max_bytes if self.max_bytes is not None else plan

    @property
    def second_limit(self) -> float:
        return self.max_seconds if self.max_seconds is not None else 6000.0 if self.is_premium else 600.0

    @property
    def quota(self) -> int | None:
        """Jobs a day; None for premium, which has none unless ``daily_limit`` says so."""
        return self.daily_limit if self.daily_limit is not None else None if self.is_premium else 50

    def used(self, now: float) -> int:
        """Return how many jobs of the last day count against the quota."""
        return sum(1 for time in self.created if time > now - _DAY)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "created": len(self.created), "plan": self.plan}


def usual_accounts() -> dict[str, Account]:
    """Return a free and a premium account, by token."""
    free = Account(FREE_TOKEN, name="free", email="free@example.org")
    premium = Account(PREMIUM_TOKEN, name="premium", email="premium@example.org", is_premium=True, credits=100_000)
    return {account.token: account for account in (free, premium)}
