"""Jobs, errors and labels as MediaX speaks of them; https://multimedia.tencent.com/docs/smart-music/api/6-music-tag."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

import msgspec

from plugin_core.errors import RefusedError, ServiceError, StembridgeError, TransientError, UnclearAnswerError
from plugin_core.model import Label, disarm
from plugin_core.settings import manifest
from plugin_core.transfer import Answer
from plugin_core.transfer.redaction import redact


class State(IntEnum):
    """Where a job is at the service."""

    SUBMITTED = 1
    PROCESSING = 2
    COMPLETED = 3
    ERROR = 4
    CANCELED = 5


class MediaxJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the service describes it."""

    id: str
    state: int
    """A ``State``, or a number not known yet, which counts as work."""
    custom_id: str = ""
    reason: str = ""
    raw: dict[str, Any] = {}
    """The whole description, for its results."""

    @property
    def is_unclear(self) -> bool:
        """Whether the state is none, or a number that nobody knows."""
        return self.state not in list(State)

    @property
    def is_working(self) -> bool:
        """Whether the service still has something to do."""
        return self.state not in (State.COMPLETED, State.ERROR, State.CANCELED)


_REFUSED: Final = re.compile(
    r"secret|auth|signature|permission|forbidden|denied|expired?\b|balance|arrears|overdue|not activated|unregistered|"
    r"鉴权|密钥|权限|欠费|余额",
    re.IGNORECASE,
)
_INPUT: Final = re.compile(r"\burl\b|\binput\b|download|source file|下载|链接", re.IGNORECASE)
"""What is said of one song's link, which has a signature and an end of its own; nothing of the account."""
_KEYS: Final = re.compile(r"secret|密钥", re.IGNORECASE)
_BUSY: Final = re.compile(
    r"too many|frequen|rate limit|limit exceeded|busy|try again|later|timeout|internal|频繁|繁忙|稍后", re.IGNORECASE
)
_LONGEST: Final = 300
_ABSENT: Final = re.compile(r"not (?:be )?found|not exist|no such|不存在", re.IGNORECASE)


def read_answer(answer: Answer, key: str, what: str) -> dict[str, Any]:
    """Return the object that an answer should hold.

    Args:
        answer: what came; its status says little, since errors come with 200 as well.
        key: the object's name, ``getJobResponse``.
        what: the call's name in messages.

    Raises:
        RefusedError: the keys or the plan are not good for this.
        TransientError: the service is busy, or said nothing that can be understood.
        ServiceError: anything else, in its own words.
    """
    data = answer.data if isinstance(answer.data, dict) else {}
    expected = data.get(key)
    # Some services fill in every object: an error beside an empty list says nothing of the jobs there are.
    if isinstance(expected, dict) and not _words(data.get("errorResponse")):
        return expected
    raise explain(answer, what)


def explain(answer: Answer, what: str) -> StembridgeError:
    """Return the error that an answer without its object means."""
    words = _words(answer.data)
    text = f"{what}: {words or 'an answer without content'} (HTTP {answer.status})"
    is_of_song = _INPUT.search(words) and not _KEYS.search(words)
    if answer.status in (401, 403) or (_REFUSED.search(words) and not is_of_song):
        return RefusedError(text, remedy="check [mediax] secret_id and secret_key: `stembridge login mediax`")
    if answer.status == 429 or _BUSY.search(words):
        return TransientError(text)
    if not words:
        return UnclearAnswerError(text)
    return ServiceError(text)


def is_absent(error: StembridgeError) -> bool:
    """Tell whether an error says that the service does not know the job."""
    return bool(_ABSENT.search(error.message))


def read_job(data: Mapping[str, Any]) -> MediaxJob | None:
    """Read one job; None for something that has no id."""
    job_id = data.get("id")
    if not isinstance(job_id, str | int) or not str(job_id):
        return None
    return MediaxJob(
        id=str(job_id),
        state=_number(data.get("state")),
        custom_id=str(data.get("customId") or ""),
        reason=_words(data),
        raw=dict(data),
    )


def find_job(payload: object) -> MediaxJob | None:
    """Read a job out of an answer or a callback: bare, in ``job``, or in ``getJobResponse``."""
    for _ in range(3):
        if not isinstance(payload, Mapping):
            return None
        job = read_job(payload)
        if job is not None:
            return job
        payload = payload.get("job", payload.get("getJobResponse"))
    return None


def list_contents(job: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the ``smartContentResult`` of each output that has one."""
    outputs = job.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        result = output.get("smartContentResult") if isinstance(output, Mapping) else None
        if isinstance(result, Mapping):
            yield result


def _number(value: object) -> int:
    try:
        return int(value) if isinstance(value, str | int | float) else 0
    except (ValueError, OverflowError):
        return 0


def _words(data: object) -> str:
    """Return what an error says, wherever it says it; the link it could not read is masked before the text is cut."""
    if isinstance(data, str):
        return disarm(" ".join(redact(data).split()))[:_LONGEST]
    if not isinstance(data, Mapping):
        return ""
    for key in ("errorResponse", "message", "error", "msg", "reason"):
        if words := _words(data.get(key)):
            return words
    return ""


DIMENSIONS: Final = ("vocal", "language", "mood", "genre", "scene", "bgm", "intensity")
"""What the service can be asked for, in the order of its documentation."""

_OUTER: Final = ("musigTagV2", "musicTagV2")
"""The first spelling is theirs."""

_PROBABILITY: Final = ("probility", "probability", "prob")


def read_labels(job: Mapping[str, Any], wanted: Sequence[str]) -> tuple[Label, ...]:
    """Return one label for each dimension that the service found something for.

    Args:
        job: the job as the service describes it.
        wanted: the dimensions asked for; what else it says is not taken.
    """
    found: dict[str, Label] = {}
    for result in list_contents(job):
        for dimension, answer in _answers(result):
            label = _label(dimension, answer)
            if label is not None and dimension in wanted:
                found.setdefault(dimension, label)
    return tuple(found[dimension] for dimension in DIMENSIONS if dimension in found)


@functools.cache
def english_names() -> dict[tuple[str, str], str]:
    """Return this project's English name of each label, by dimension and the service's text."""
    document = json.loads(manifest("providers/mediax_labels.json").read_text(encoding="utf-8"))
    return {
        (dimension, label["zh"]): label["en"]
        for dimension, entry in document["dimensions"].items()
        for label in entry["labels"]
    }


def _answers(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield dimension and answer, from the present form and from the older ``audioTagger``."""
    for outer in _OUTER:
        tags = result.get(outer)
        inner = tags.get("musicTagV2", tags) if isinstance(tags, Mapping) else None
        if isinstance(inner, Mapping):
            yield from inner.items()
    yield from _older_answers(result.get("audioTagger")).items()


def _older_answers(entries: object) -> dict[str, list[dict[str, object]]]:
    """Return the entries of ``audioTagger`` by dimension, of which each may have several."""
    found: dict[str, list[dict[str, object]]] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping):
            probability = next((entry[name] for name in _PROBABILITY if entry.get(name) is not None), None)
            answer = {"label": entry.get("tag"), "prob": probability}
            found.setdefault(str(entry.get("tagType", "")), []).append(answer)
    return found


def _label(dimension: str, answer: object) -> Label | None:
    """Return the likeliest label of an answer: an object, a list of them, or nothing at all."""
    each = answer if isinstance(answer, list) else [answer]
    labels = [label for one in each if (label := _one(dimension, one)) is not None]
    return max(labels, key=lambda label: label.probability or 0.0, default=None)


def _one(dimension: str, answer: object) -> Label | None:
    if not isinstance(answer, Mapping):
        return None
    text = answer.get("label")
    if not isinstance(text, str) or not text.strip():
        return None
    value = text.strip()
    english = english_names().get((dimension, value), value)
    return Label(dimension=dimension, value=value, english=english, probability=_probability(answer.get("prob")))


def _probability(value: object) -> float | None:
    """Return a probability from 0 to 1; None when there is none, or none that can be one."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0.0 <= number <= 1.0 else None
