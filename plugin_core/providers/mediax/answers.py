"""Jobs, errors and labels as MediaX speaks of them; https://multimedia.tencent.com/docs/smart-music/api/6-music-tag."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

import msgspec

from plugin_core.errors import RefusedError, ServiceError, StembridgeError, TransientError, UnclearAnswerError
from plugin_core.manifests import manifest
from plugin_core.model import Label, disarm
from plugin_core.service import without_secrets
from plugin_core.transfer import Answer
from plugin_core.transfer.calls import parse_json
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


def list_contents(job: Mapping[str, Any]) -> Iterator[object]:
    """Yield the ``smartContentResult`` of each output that has one; some services hand JSON out as a text."""
    outputs = job.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        result = _opened(output.get("smartContentResult")) if isinstance(output, Mapping) else None
        if result:
            yield result


def keep_results(job: Mapping[str, Any]) -> str:
    """Return what a job says of its results, whole, as JSON; its inputs are links, and left out."""
    return without_secrets({name: value for name, value in job.items() if name not in ("inputs", "callback")})


def _opened(value: object) -> object:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        with contextlib.suppress(ValueError, RecursionError):
            return parse_json(value)
    return value


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

_CONTAINERS: Final = frozenset({"musigtagv2", "musictagv2", "audiotagger"})
"""Around labels, in any case; the first spelling is theirs."""

_WORDS_FOR: Final = {
    "vocal": "vocal vocals 人声",
    "language": "language languages 语种 语言",
    "mood": "mood moods 情绪 心情",
    "genre": "genre genres 风格 流派 曲风",
    "scene": "scene scenes 场景",
    "bgm": "bgm 背景音乐",
    "intensity": "intensity 强度",
}
_MEANT: Final = {word: dimension for dimension, words in _WORDS_FOR.items() for word in words.split()}

_LABEL: Final = ("label", "tag", "name", "value")
_PROBABILITY: Final = ("probility", "probability", "prob")
_DEEPEST: Final = 6


def read_labels(job: Mapping[str, Any], wanted: Sequence[str]) -> tuple[Label, ...] | None:
    """Return one label for each dimension that the service found something for; None if nothing is understood.

    Args:
        job: the job as the service describes it.
        wanted: the dimensions asked for; with all of them, those that nobody knew of are taken as well.
    """
    answers = _all_answers(job)
    found: dict[str, list[Label]] = {}
    for dimension, answer in answers:
        for label in _labels(dimension, answer):
            found.setdefault(dimension, []).append(label)
    if not found and (not answers or any(_says_something(answer) for _, answer in answers)):
        return None
    known = [each for each in DIMENSIONS if each in wanted]
    others = [each for each in found if each not in DIMENSIONS] if len(known) == len(DIMENSIONS) else []
    # Of equally likely ones the first is taken.
    return tuple(
        max(found[each], key=lambda label: label.probability or 0.0) for each in (*known, *others) if each in found
    )


def list_unread(job: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    """Return the dimensions asked for of which the service says something that gives no label."""
    answers = _all_answers(job)
    read = {dimension for dimension, answer in answers if _labels(dimension, answer)}
    unread = {dimension for dimension, answer in answers if _says_something(answer)} - read
    return sorted(
        _words(dimension) or "a dimension without a name" for dimension in unread - (set(DIMENSIONS) - set(wanted))
    )


def _all_answers(job: Mapping[str, Any]) -> list[tuple[str, object]]:
    return [answer for result in list_contents(job) for answer in _answers(result, _DEEPEST)]


@functools.cache
def english_names() -> dict[tuple[str, str], str]:
    """Return this project's English name of each label, by dimension and the service's text."""
    document = json.loads(manifest("providers/mediax_labels.json").read_text(encoding="utf-8"))
    return {
        (dimension, label["zh"]): label["en"]
        for dimension, entry in document["dimensions"].items()
        for label in entry["labels"]
    }


def _answers(value: object, depth: int) -> Iterator[tuple[str, object]]:
    """Yield dimension and answer of all that may hold labels, also where the dimension is nobody's word."""
    value = _opened(value)
    if depth == 0 or not isinstance(value, list | Mapping):
        yield "", value
    elif isinstance(value, list):
        for each in value:
            yield from _answers(each, depth - 1)
    else:
        fields = {str(name).casefold(): each for name, each in value.items()}
        if "tagtype" in fields:
            yield _dimension(fields), fields
            return
        for name, each in fields.items():
            if name in _CONTAINERS:
                # An empty one says that nothing was found.
                yield from _answers(each, depth - 1) if each else iter([("", None)])
            elif name in _MEANT or isinstance(_opened(each), list | Mapping):
                yield _MEANT.get(name, name), _opened(each)


def _dimension(entry: Mapping[str, object]) -> str:
    """Return what an entry of ``audioTagger`` is about: by its type in words, else by its label, else by number."""
    kind = str(entry["tagtype"]).strip()
    if not kind.isdecimal():
        return _MEANT.get(kind.casefold(), kind.casefold())
    text = _text(entry)
    having = [dimension for dimension, label in english_names() if label == text]
    if len(having) == 1:
        return having[0]
    number = int(kind[:3]) - 1
    return DIMENSIONS[number] if 0 <= number < len(DIMENSIONS) else ""


def _labels(dimension: str, answer: object) -> list[Label]:
    """Return the labels of an answer: an object, a list of them, a bare text, or nothing at all."""
    labels = []
    for one in answer if isinstance(answer, list) else [answer]:
        fields = (
            {str(name).casefold(): each for name, each in one.items()} if isinstance(one, Mapping) else {"label": one}
        )
        value = _text(fields)
        if value and dimension:
            probability = next((fields[name] for name in _PROBABILITY if fields.get(name) is not None), None)
            english = english_names().get((dimension, value), value)
            labels.append(
                Label(dimension=dimension, value=value, english=english, probability=_probability(probability))
            )
    return labels


def _text(fields: Mapping[str, object]) -> str:
    return next((text.strip() for name in _LABEL if isinstance(text := fields.get(name), str) and text.strip()), "")


def _says_something(answer: object) -> bool:
    """Tell whether an answer without a label says anything: empty fields and probabilities of nothing do not."""
    if isinstance(answer, Mapping):
        return any(_says_something(each) for each in answer.values())
    if isinstance(answer, list):
        return any(map(_says_something, answer))
    return answer not in (None, "", False)


def _probability(value: object) -> float | None:
    """Return a probability from 0 to 1; None when there is none, or none that can be one."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0.0 <= number <= 1.0 else None
