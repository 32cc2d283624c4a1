"""Words to the service manager (sd_notify(3)): a datagram to the socket it names; nothing where there is none."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Says that the service is ready, and that it is alive.

    Args:
        environ: where ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC`` are read.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # "@" stands for the null byte of an abstract address.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        every = environ.get("WATCHDOG_USEC", "")
        self.watchdog = int(every) / 1e6 / 2 if every.isdigit() and int(every) else None
        """Seconds between two signs of life, at most; None where none are wanted."""
        self._next_beat = float("-inf")

    def beat(self, now: float) -> None:
        """Give a sign of life, when it is wanted and time.

        Args:
            now: monotonic seconds.
        """
        if self.watchdog is not None and now >= self._next_beat:
            self._next_beat = now + self.watchdog / 2
            self.tell("WATCHDOG=1")

    def tell(self, *words: str) -> None:
        """Send words such as ``READY=1``."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        # A manager that went away must not take the service along.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            # Nor may one that does not read hold it up.
            sender.setblocking(False)
            sender.sendto("\n".join(words).encode(), self._address)
