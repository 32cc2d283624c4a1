"""What a person is told in one sentence instead of a traceback."""

from __future__ import annotations


class Refusal(Exception):
    """The action cannot go on; the text is one sentence for the message box."""


class Skip(Exception):
    """One item cannot be used; the text is the reason, as counted in the closing message."""
