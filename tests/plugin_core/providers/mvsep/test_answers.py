"""Answers in every shape they have been seen in, and in shapes nobody has seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_core.providers.mvsep.account_calls import (
    parse_demo,
    parse_history,
    parse_news,
    parse_notice,
    parse_queue,
    parse_summary,
    parse_user,
)
from plugin_core.providers.mvsep.client import parse_added, parse_entries, parse_entry, parse_leaderboard
from plugin_core.providers.mvsep.job_calls import Phase, parse_created, parse_job
from plugin_core.providers.mvsep.loose_json import (
    as_count,
    as_flag,
    as_list,
    as_mapping,
    as_number,
    as_texts,
    read_words,
)
from plugin_core.settings import Secret
from plugin_core.transfer.redaction import register

KEYS = [
    *("data", "success", "status", "message", "errors", "error", "files", "tags", "hash", "link", "queue", "plan"),
    *("current", "current_queue", "algorithm", "algorithm_group", "name", "metrics", "sdr_vocals", "bytes", "date"),
    *("input_file", "transcription", "queue_count", "sortables", "premium_minutes"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_nothing_a_service_sends_breaks_a_reader(payload: Any) -> None:
    readers = (parse_created, parse_demo, parse_history, parse_news, parse_notice, parse_queue, parse_summary)
    more = (parse_user, parse_added, parse_entries, parse_entry, parse_leaderboard, read_words)
    for reader in (*readers, *more):
        reader(payload)
    assert parse_job(payload).phase in Phase


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"errors": ["a", "b"]}, ("a", "b")),
        ({"errors": {"x": ["a"], "y": ["b"]}}, ("a", "b")),
        ({"errors": [{"message": "a"}]}, ("a",)),
        ({"errors": "a"}, ("a",)),
        ({"data": {"message": "a"}}, ("a",)),
        ({"message": "a"}, ("a",)),
        ({"message": {"email": ["a"], "name": ["b"]}}, ("a", "b")),
        ({"error": "a"}, ("a",)),
        ({"errors": ["a"], "message": "a"}, ("a",)),
        ({"data": "a"}, ("a",)),
        ({"data": None, "message": None}, ()),
        (None, ()),
        ([], ()),
    ],
)
def test_finds_the_words_of_every_error(body: Any, words: tuple[str, ...]) -> None:
    assert read_words(body) == words


@pytest.mark.parametrize(
    ("body", "phase"),
    [
        ({"status": "waiting"}, Phase.WAITING),
        ({"status": "Submitted"}, Phase.WAITING),
        ({"status": "merging"}, Phase.RUNNING),
        ({"status": "converting"}, Phase.RUNNING),
        ({"status": "cancelled"}, Phase.FAILED),
        ({"status": "error"}, Phase.FAILED),
        ({"success": False, "status": "not_found"}, Phase.MISSING),
        ({"data": {"status": "done"}}, Phase.DONE),
        ({"status": "dreaming"}, Phase.UNCLEAR),
        ({"status": "dreaming", "data": {"message": "File not found"}}, Phase.UNCLEAR),
        ({"success": False, "data": {"message": "Your file is being downloaded, please wait"}}, Phase.UNCLEAR),
        ({"success": False, "data": {"message": "File or File Hash not found"}}, Phase.MISSING),
        ({"success": True, "data": {"message": "The audio is large and was splitted"}}, Phase.RUNNING),
        ({}, Phase.UNCLEAR),
    ],
)
def test_knows_what_a_status_means(body: Any, phase: Phase) -> None:
    assert parse_job(body).phase is phase


@pytest.mark.parametrize("tags", [None, [], {"audio": {"channels": 2}}])
def test_reads_a_finished_job_with_drifting_types(tags: Any) -> None:
    files = [
        {"url": "https://x.example/a.flac", "bytes": "12", "type": "Vocals", "peaks": [1] * 100},
        {"url": "https://x.example/b.flac", "bytes": 13, "image": None, "download": "../../b"},
        "nonsense",
    ]
    data = {"queue_count": "3", "current_order": 2.0, "tags": tags, "files": files, "input_file": [], "size": "5 MB"}
    job = parse_job({"success": "true", "status": "done", "data": data})
    assert (job.success, job.queue_count, job.current_order, job.input_file) == (True, 3, 2, None)
    assert [(file.type, file.bytes, file.download) for file in job.files] == [("Vocals", 12, ""), ("", 13, "../../b")]
    assert job.tags == (tags or {})


def test_files_may_be_an_object_or_null() -> None:
    one = {"url": "https://x.example/a"}
    assert len(parse_job({"status": "done", "data": {"files": {"0": one, "1": one}}}).files) == 2
    assert parse_job({"status": "done", "data": {"files": None}}).files == ()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"data": {"hash": "h", "link": "l"}}, "h"),
        ({"hash": "h"}, "h"),
        ({"data": {"link": "https://mvsep.com/api/separation/get?hash=h"}}, "h"),
        ({"data": {"hash": 12}}, "12"),
        ({"data": []}, ""),
    ],
)
def test_finds_the_hash_of_a_new_job(body: Any, found: str) -> None:
    assert parse_created(body).hash == found


def test_reads_both_shapes_of_the_queue() -> None:
    older = parse_queue({"queue": {"in_process": 1, "premium": "2"}, "plan": {"plan": "free", "queue": 800}})
    newer = parse_queue(
        {"queue": {}, "current": {"plan": "registered", "queue": "40"}, "free_separations": {"left": 49, "max": 50}}
    )
    assert (older.in_process, older.premium, older.plan, older.plan_queue) == (1, 2, "free", 800)
    assert (newer.plan, newer.plan_queue, newer.free_left, newer.free_max) == ("registered", 40, 49, 50)


def test_a_decibel_value_that_means_none_is_left_out() -> None:
    entry = parse_entry({"sdr_vocals": "11.5", "sdr_bass": 0, "sdr_drums": -1000, "metrics": ["a", "b"]})
    assert entry.sdr == {"vocals": 11.5}
    assert entry.metrics == ("a", "b")


@pytest.mark.parametrize(
    ("reader", "value", "read"),
    [
        (as_flag, "true", True),
        (as_flag, 0, False),
        (as_flag, "maybe", None),
        (as_flag, [], None),
        (as_count, "12", 12),
        (as_count, "12.7", 12),
        (as_count, True, 1),
        (as_count, "1e999", None),
        (as_number, "nan", None),
        (as_number, 10**400, None),
        (as_list, '["a"]', ["a"]),
        (as_list, "{broken", []),
        (as_mapping, '{"a":1}', {"a": 1}),
        (as_mapping, ["a"], {"0": "a"}),
        (as_texts, '{"0.3":1,"b":null}', {"0.3": "1"}),
    ],
)
def test_reads_a_value_of_any_type(reader: Any, value: Any, read: Any) -> None:
    assert reader(value) == read


@pytest.mark.parametrize("depth", [9, 900])
@pytest.mark.parametrize("shape", ["[{}]", '{{"message":{}}}'], ids=["lists", "objects"])
def test_words_that_lie_too_deep_are_none(depth: int, shape: str) -> None:
    begin, _, end = shape.format("|").partition("|")
    body = json.loads('{"success":false,"message":"plain","errors":' + begin * depth + '"deep"' + end * depth + "}")
    assert read_words(body) == ("plain",)
    assert parse_job(body).message == "plain"


@pytest.mark.parametrize("value", [2**53 + 2, 1e300, "1e300", -(2**60), "9" * 400], ids=str)
def test_counts_that_cannot_be_are_none(value: Any) -> None:
    assert as_count(value) is None


def test_a_secret_in_the_words_is_masked() -> None:
    register(Secret("t0ken/of a user"))
    body = {"status": "t0ken/of a user", "data": {"message": "no power: t0ken%2Fof+a+user, t0ken/of a user"}}
    assert read_words(body) == ("no power: ********, ********",)
    assert "t0ken" not in parse_job(body).status
