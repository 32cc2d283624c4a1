"""What to make of one try of a request."""

from __future__ import annotations

from typing import Final

from plugin_core.errors import OutcomeUnknownError, StembridgeError, TransientError
from plugin_core.transfer.calls import Answer, Call, Dialect
from plugin_core.transfer.redaction import redact
from plugin_core.transfer.redirects import RedirectError
from plugin_core.transfer.waits import read_retry_after
from plugin_core.transfer.wire import Failure

TOO_MANY: Final = 429

_AGAIN: Final = frozenset({408, 425, TOO_MANY})
_GUARDS: Final = frozenset({401, 403})
"""What gateways answer, without JSON, to a request they take for a robot's; a later one may pass."""


def is_worth_another_try(call: Call, answer: Answer) -> bool:
    """Tell whether a request that may be repeated should be: this answer passes by itself."""
    if answer.status >= 500 or answer.status in _AGAIN:
        return True
    if not call.wants_json or answer.is_json:
        return False
    return answer.is_success or answer.status in _GUARDS


def failed(call: Call, outcome: Answer | Failure, now: float) -> StembridgeError:
    """Return the error of a repeatable request whose last try ended like this."""
    if isinstance(outcome, Failure):
        return TransientError(f"{call.what}: {outcome.words}")
    return TransientError(
        f"{call.what}: {describe_answer(outcome, call.dialect)}",
        retry_after=read_retry_after(outcome.headers.get("retry-after"), now),
    )


def judge_paid(call: Call, outcome: Answer | Failure, now: float) -> StembridgeError | None:
    """Return the error of a request that may have cost money; None when the answer is the caller's to read."""
    if isinstance(outcome, Failure):
        if outcome.is_unsent:
            return TransientError(f"{call.what}: {outcome.words}")
        return OutcomeUnknownError(f"{call.what}: {outcome.words}; it may have been accepted")
    if outcome.status == TOO_MANY:
        return failed(call, outcome, now)
    if 300 <= outcome.status < 400:
        return RedirectError(f"{call.what}: {describe_answer(outcome, call.dialect)}", outcome.status)
    is_unreadable = outcome.is_success and call.wants_json and not outcome.is_json
    if outcome.status >= 500 or outcome.status in _AGAIN or outcome.status < 200 or is_unreadable:
        return OutcomeUnknownError(f"{call.what}: {describe_answer(outcome, call.dialect)}; it may have been accepted")
    return None


def describe_answer(answer: Answer, dialect: Dialect | None = None) -> str:
    """Describe an answer that is not the expected one, in one line and with the service's own words if they are few."""
    if dialect is not None:
        return redact(dialect.describe(answer))
    status = f"HTTP {answer.status}"
    if answer.status == TOO_MANY:
        status = f"too many requests ({status})"
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    if "html" in kind or answer.text.lstrip()[:1] == "<":
        return f"{status} with a web page instead of an answer"
    words = " ".join(answer.text[:2000].split())
    return redact(f"{status}: {words[:200]}") if words else f"{status} without content"
