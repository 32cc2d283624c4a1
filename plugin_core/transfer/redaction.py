"""Secrets registered once never show again: not in texts, in URLs, or in the log records of whatever library."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

from plugin_core.settings import Secret

MASK: Final = "********"

SHORTEST: Final = 4
"""Characters a secret has at least; masking shorter ones would blank out ordinary words."""

_TELLING_NAME: Final = (
    r"(?:api[_-]?token|access[_-]?token|token|password(?:_confirmation)?|secret|signature|sign"
    r"|q-signature|q-ak|q-sign-time|q-key-time|x-cos-security-token"
    r"|x-amz-(?:signature|credential|security-token|date|expires))"
)
_PAIR: Final = re.compile(rf"(?i)(?<![\w-])({_TELLING_NAME})=[^&\s\"'<>]+")
_NAME: Final = re.compile(rf"(?i){_TELLING_NAME}\Z")

_QUOTED: Final = ((quote, "/"), (quote, ""), (quote_plus, ""))

_forms: frozenset[str] = frozenset()
_known: re.Pattern[str] | None = None


def register(secret: Secret | str) -> None:
    """Remember a secret, in every spelling it can have in a URL, a form or JSON."""
    global _forms, _known
    text = secret.reveal() if isinstance(secret, Secret) else secret
    if len(text) < SHORTEST or text in _forms:
        return
    in_json = (json.dumps(text, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False))
    # A text out of the environment may hold bytes that are no UTF-8.
    quoted = (function(text, safe, errors="surrogatepass") for function, safe in _QUOTED)
    # Another thread may look through them meanwhile.
    _forms = _forms.union((text, *quoted, *in_json, repr(text)[1:-1]))
    _known = re.compile("|".join(re.escape(form) for form in sorted(_forms, key=len, reverse=True)))


def redact(text: str) -> str:
    """Mask every registered secret, and every query value whose name says that it is one."""
    # Most texts hold neither: an expression would try each of their characters.
    if _known is not None and holds_secret(text):
        text = _known.sub(MASK, text)
    return _PAIR.sub(rf"\1={MASK}", text) if "=" in text else text


def holds_secret(text: str) -> bool:
    """Tell whether a registered secret is in a text."""
    return any(form in text for form in _forms)


def redact_url(url: str) -> str:
    """Return a URL fit to be shown: no user, no fragment, secrets in its query masked."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return redact(url.partition("?")[0])
    shown = [(name, MASK if _NAME.match(name) else value) for name, value in pairs]
    return redact(urlunsplit((parts.scheme, host, parts.path, urlencode(shown, safe="*/:"), "")))


def guard_logs() -> None:
    """Mask secrets in every log record from now on, whichever logger makes it and whoever listens.

    A filter of a logger would not see what the loggers below it say, and their names are the libraries' own affair.
    """
    make = logging.getLogRecordFactory()
    if not isinstance(make, _MaskedRecords):
        logging.setLogRecordFactory(_MaskedRecords(make))


class _MaskedRecords:
    """Makes log records as before, and masks message, arguments and traceback."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **values: Any) -> logging.LogRecord:
        record = self._make(*args, **values)
        _mask_message(record)
        if record.exc_info and record.exc_info[0] is not None:
            trace = logging.Formatter().formatException(record.exc_info)
            if redact(trace) != trace:
                record.exc_text, record.exc_info = redact(trace), None
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return record


def _mask_message(record: logging.LogRecord) -> None:
    try:
        text = record.getMessage()
    except (TypeError, ValueError):
        # Arguments that do not fit their message: logging itself complains, with both in plain sight.
        record.msg, record.args = redact(f"{record.msg} {record.args!r}"), ()
        return
    if redact(text) != text:
        record.msg, record.args = redact(text), ()
