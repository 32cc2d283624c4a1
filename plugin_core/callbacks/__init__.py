"""Hearing from services that a job ended: a call only makes us ask at once, and nothing in it is believed.

The paths that services call, one a provider, are made from a secret of the home folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
import threading
import time
import uuid
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, Protocol

from plugin_core.errors import ServiceError, SettingsError
from plugin_core.model import show_path
from plugin_core.settings import Secret

FILE_NAME: Final = "callbacks.secret"
_BYTES: Final = 32
_TOKEN_LENGTH: Final = 40


class Paths:
    """The path of each provider; one says nothing of another.

    Args:
        secret: 64 hexadecimal digits.
    """

    def __init__(self, secret: Secret) -> None:
        self._key = bytes.fromhex(secret.reveal())

    def of(self, provider: str) -> str:
        """Return the path that a provider's service calls; treat it as a secret."""
        return f"/{provider}/{self._token(provider)}"

    def is_right(self, provider: str, token: str) -> bool:
        """Tell whether a token is the provider's, in a time that says nothing about it."""
        return hmac.compare_digest(self._token(provider).encode(), token.encode("utf-8", "replace"))

    def _token(self, provider: str) -> str:
        return hmac.new(self._key, provider.encode(), hashlib.sha256).hexdigest()[:_TOKEN_LENGTH]


def open_paths(home: Path) -> Paths:
    """Return the paths of a home folder; its secret is made on first use, also by two processes at once.

    Raises:
        SettingsError: the secret cannot be kept, can be read by others, or is none.
    """
    path = home / FILE_NAME
    try:
        if not path.exists():
            _make(path)
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise SettingsError(
            f"{show_path(path)} cannot be used: {error.strerror}", remedy="make the folder writable"
        ) from error
    if os.name != "nt" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(
            f"{show_path(path)} holds a secret and others can read it",
            remedy="remove it, and configure the new paths at the services",
        )
    try:
        if len(bytes.fromhex(text)) != _BYTES:
            raise ValueError
    except ValueError:
        raise SettingsError(
            f"{show_path(path)} holds no secret of ours", remedy="remove it, and configure the new paths"
        ) from None
    return Paths(Secret(text))


def _make(path: Path) -> None:
    """Put a new secret there, whole or not at all, unless another process was faster."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(scratch)
    finally:
        scratch.unlink(missing_ok=True)


def read_json(body: bytes, what: str) -> object:
    """Return the value of a JSON text.

    Args:
        body: the text.
        what: whose it is, for the message.

    Raises:
        ServiceError: it is no JSON, nested too deeply, or holds a number without end.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ServiceError(f"{what}: no JSON") from error


PAUSE: Final = 1.0
"""Seconds in which one job is woken once: calls must not drive how often a service is asked."""


class Wakeable(Protocol):
    """What of the job store waking needs."""

    def wake(self, names: Collection[str], *, rested: Callable[[str], bool]) -> list[str]:
        """Make due the waiting jobs of these names that have rested; return their ids."""
        ...


class Waker:
    """Wakes jobs of a store; usable from several threads.

    Args:
        store: the job store.
        clock: seconds, growing.
    """

    def __init__(self, store: Wakeable, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._woken: dict[str, float] = {}
        self._lock = threading.Lock()

    def wake(self, names: Collection[str]) -> Collection[str]:
        """Wake the jobs with these remote ids or ids of ours, and return their ids.

        Raises:
            StoreError: the store cannot be used.
        """
        with self._lock:
            now = self._clock()
            self._woken = {job: moment for job, moment in self._woken.items() if now - moment < PAUSE}
            woken = self._store.wake(names, rested=lambda job: job not in self._woken)
            self._woken |= dict.fromkeys(woken, now)
            return woken
