"""One request and its answer, in words that may be logged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from plugin_core.transfer.bodies import Body

Bytes = Callable[[int, int | None], None]
"""Told how many bytes are through, and of how many if that is known; cheap, called often."""


class Signer(Protocol):
    """Signs a request as it is sent, so that every try is signed anew."""

    def __call__(self, method: str, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers to add.

        Args:
            method: upper-case.
            url: as it is sent, percent-encoded.
            headers: as they are sent, by lower-case name.
        """
        ...


class Dialect(Protocol):
    """How a service says things that HTTP has no common words for."""

    def describe(self, answer: Answer) -> str:
        """Put an answer that is not the expected one into one line, without secrets."""
        ...

    def pause(self, answer: Answer) -> float:
        """Return the seconds the service asks for in a way of its own; 0 when it asks for none."""
        ...


@dataclass(frozen=True)
class Call:
    """One request; every ``Secret`` in it is revealed only while it is sent.

    Args:
        method: ``GET``, ``POST``, ...
        url: absolute, without secrets; https, or http on loopback.
        query: appended to the URL.
        headers: beyond those every request carries.
        body: opened anew for every try.
        what: the call's name in messages ("MVSEP separation/create").
        wants_json: whether anything else than JSON is no answer.
        patience: seconds the service may be silent before its answer; default the transfer's.
        report: told of bytes sent.
        signer: signs each try; such a call is not sent to any other host.
        dialect: reads what the service says of failures.
    """

    method: str
    url: str
    what: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    wants_json: bool = True
    patience: float | None = None
    report: Bytes | None = None
    signer: Signer | None = field(default=None, repr=False)
    dialect: Dialect | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Answer:
    """What a service sent back."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    content: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @cached_property
    def _parsed(self) -> tuple[bool, Any]:
        try:
            return True, json.loads(self.content)
        except (ValueError, RecursionError):
            return False, None

    @property
    def is_json(self) -> bool:
        """Whether the content is JSON, whatever its type says."""
        return self._parsed[0]

    @property
    def data(self) -> Any:
        """The content as JSON; None when it is something else."""
        return self._parsed[1]

    @property
    def text(self) -> str:
        """The content as text; what is no UTF-8 is replaced."""
        return self.content.decode("utf-8", "replace")
