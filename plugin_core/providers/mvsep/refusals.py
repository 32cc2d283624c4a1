"""What the service's complaints mean, by their HTTP status and their words."""

from __future__ import annotations

import re
from typing import Final

from plugin_core.errors import RefusedError, ServiceError, SourceError, StembridgeError, TransientError
from plugin_core.providers.mvsep.answers.drift import as_flag, as_mapping
from plugin_core.providers.mvsep.answers.words import read_words
from plugin_core.transfer import Answer
from plugin_core.transfer.redaction import redact

QUEUE_PAUSE: Final = 30.0
"""Seconds until a full queue is tried again, when the service names none."""

_LOGIN: Final = "use `stembridge login mvsep`"

_TOKEN: Final = re.compile(r"token|api.?key|unauth|credential|log.?in|sign.?in")
_SONG: Final = re.compile(
    r"(file|audio|song|track|upload|size|length|duration)s?\b.*\bexceed|exceed.*\b(size|length|duration|\d+ ?[mg]i?b)\b"
    r"|too (large|big|long)|larger than|longer than|maximum (file )?(size|length|duration)"
    r"|(over|above|up to|limit of|limited to) \d+ ?([mg]i?b|min(ute)?s?)\b"
    r"|not (an? )?(valid |supported )?audio|unsupported (file|audio|format)|corrupt|is empty|empty file"
)
"""What is said of one song, also where another plan would take it; all else that is refused is refused to all songs."""
_QUOTA: Final = re.compile(r"limit of separations|for today|daily|per day")
_CREDITS: Final = re.compile(r"credit|balance|premium minutes|not enough")
_PREMIUM: Final = re.compile(r"premium|membership|subscri|registered (user|account)|upgrade")
_QUEUED: Final = re.compile(r"queue|unprocessed|wait before adding")
_UNPACKED: Final = re.compile(r"<[^>]*>")


def refusal(what: str, answer: Answer, *, pause: float | None = None) -> StembridgeError | None:
    """Return the error an answer amounts to, with the service's words; None when it is no refusal.

    Args:
        what: the call's name.
        answer: below 500.
        pause: seconds of its ``Retry-After``.
    """
    if answer.is_success and answer.is_json and as_flag(as_mapping(answer.data).get("success")) is not False:
        return None
    words = "; ".join(read_words(answer.data)) if answer.is_json else ""
    shown = redact(f"{what}: {words or _without_words(answer)} (HTTP {answer.status})")
    return _by_status(answer, shown, words.lower(), pause) or _by_words(shown, words.lower(), pause)


def _by_status(answer: Answer, shown: str, words: str, pause: float | None) -> StembridgeError | None:
    if answer.status == 429:
        return TransientError(shown, retry_after=pause)
    if answer.status == 401:
        # Without a word about the token it comes from the guard against robots, and a later try passes.
        return RefusedError(shown, remedy=_LOGIN) if _TOKEN.search(words) else TransientError(shown, retry_after=pause)
    if answer.status == 413:
        return SourceError(shown, remedy="use a smaller file")
    if answer.status in (404, 405, 410) and not answer.is_json:
        return ServiceError(shown, remedy="check [mvsep] base_url")
    if answer.status == 403 and not answer.is_json:
        return TransientError(shown, retry_after=pause)
    return None


def _by_words(shown: str, words: str, pause: float | None) -> StembridgeError:
    if _SONG.search(words):
        return SourceError(shown)
    if _QUOTA.search(words):
        return RefusedError(shown, remedy="try again tomorrow, or use another account")
    if _QUEUED.search(words):
        return TransientError(shown, retry_after=pause or QUEUE_PAUSE)
    if _CREDITS.search(words) or _PREMIUM.search(words):
        return RefusedError(shown, remedy="`stembridge account mvsep` shows what the account may do")
    if _TOKEN.search(words):
        return RefusedError(shown, remedy=_LOGIN)
    return ServiceError(shown)


def _without_words(answer: Answer) -> str:
    if answer.is_json:
        return "refused without a reason"
    text = " ".join(_UNPACKED.sub(" ", answer.text[:2000]).split())
    return f"no answer of the API, but {text[:120]!r}" if text else "no answer of the API"
