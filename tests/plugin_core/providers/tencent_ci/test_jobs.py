from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_core.errors import ServiceError
from plugin_core.providers.tencent_ci.caller import read_xml
from plugin_core.providers.tencent_ci.jobs import Callback, JobPage, JobRequest, read_page
from plugin_core.providers.tencent_ci.rules import AudioConfig

REQUEST = JobRequest(
    source="in/a b&c.flac",
    bucket="test-1250000000",
    region="ap-chongqing",
    outputs={"vocals": "out/${jobid}/vocals.${ext}", "instrumental": "out/${jobid}/background.${ext}"},
    mode="AudioAndBackground",
    config=AudioConfig(codec="flac", samplerate="44100", channels="2"),
    user_data="key",
)

SUCCESS = """<Response><JobsDetail><Code>Success</Code><Message/><JobId>j8</JobId><State>Success</State>
<CreationTime>2022-06-27T15:23:10+0800</CreationTime><StartTime>-</StartTime><EndTime/><QueueId>p2</QueueId>
<Tag>VoiceSeparate</Tag><Input><BucketId>test-1250000000</BucketId><Object>in/demo.flac</Object></Input>
<Operation><Output><Bucket>test-1250000000</Bucket><Region>r</Region><Object>out/j8/backgroud.flac</Object>
<AuObject>out/j8/vocals.flac</AuObject></Output>{result}<UserData>key</UserData></Operation></JobsDetail></Response>"""

RESULT = f"""<MediaResult><OutputFile><Bucket>b</Bucket><ObjectPrefix/><ObjectName>out/j8/vocals.flac</ObjectName>
<ObjectName>out/j8/backgroud.flac</ObjectName><Md5Info><ObjectName>out/j8/vocals.flac</ObjectName>
<Md5>{"AA" * 16}</Md5></Md5Info></OutputFile></MediaResult>"""


def page(text: str) -> JobPage:
    return read_page(read_xml(text.encode(), "x"))


def test_a_request_holds_what_the_service_documents() -> None:
    root = ET.fromstring(REQUEST.to_xml())
    assert {node.tag for node in root} == {"Tag", "Input", "Operation"}
    assert root.findtext("Tag") == "VoiceSeparate"
    assert root.findtext("Input/Object") == "in/a b&c.flac"
    assert root.findtext("Operation/VoiceSeparate/AudioMode") == "AudioAndBackground"
    assert root.findtext("Operation/VoiceSeparate/AudioConfig/Samplerate") == "44100"
    assert root.find("Operation/VoiceSeparate/AudioConfig/Bitrate") is None
    assert root.findtext("Operation/Output/AuObject") == "out/${jobid}/vocals.${ext}"
    assert root.findtext("Operation/Output/Object") == "out/${jobid}/background.${ext}"
    assert root.find("Operation/Output/BassObject") is None
    assert root.findtext("Operation/UserData") == "key"


def test_optional_fields_appear_where_they_belong() -> None:
    import msgspec

    more = msgspec.structs.replace(
        REQUEST,
        template="t1",
        level="1",
        queue="p1",
        callback=Callback(url="https://x.example/h", format="JSON", kind="TDMQ", queue={"MqRegion": "gz"}),
    )
    root = ET.fromstring(more.to_xml())
    assert root.findtext("Operation/TemplateId") == "t1"
    assert root.find("Operation/VoiceSeparate") is None
    assert root.findtext("Operation/JobLevel") == "1"
    assert root.findtext("QueueId") == "p1"
    assert root.findtext("CallBack") == "https://x.example/h"
    assert root.findtext("CallBackFormat") == "JSON"
    assert root.findtext("CallBackMqConfig/MqRegion") == "gz"


@pytest.mark.parametrize("result", [RESULT, "", "<MediaResult/>"], ids=["named", "not-named", "empty"])
def test_results_are_matched_by_name(result: str) -> None:
    (job,) = page(SUCCESS.format(result=result)).jobs
    assert {each.stem: each.key for each in job.results} == {
        "vocals": "out/j8/vocals.flac",
        "instrumental": "out/j8/backgroud.flac",
    }
    assert (job.id, job.state, job.user_data, job.source, job.queue) == ("j8", "Success", "key", "in/demo.flac", "p2")
    assert not job.is_working


def test_a_result_of_another_suffix_is_known_by_its_name() -> None:
    renamed = RESULT.replace("vocals.flac</ObjectName>\n", "vocals.wav</ObjectName>\n")
    (job,) = page(SUCCESS.format(result=renamed)).jobs
    assert {each.stem for each in job.results} == {"vocals", "instrumental"}


def test_digests_go_with_their_objects() -> None:
    (job,) = page(SUCCESS.format(result=RESULT)).jobs
    assert {each.stem: each.md5 for each in job.results} == {"vocals": "AA" * 16, "instrumental": ""}


@pytest.mark.parametrize("digest", ["AA", "rL0Y20zC+Fzt72VPzMSk2A==", "-"])
def test_a_digest_that_no_file_could_have_is_left_out(digest: str) -> None:
    (job,) = page(SUCCESS.format(result=RESULT.replace("AA" * 16, digest))).jobs
    assert {each.md5 for each in job.results} == {""}


def test_a_result_that_is_named_twice_is_one() -> None:
    name = re.search("<ObjectName>.*?</ObjectName>", RESULT)
    assert name is not None
    (job,) = page(SUCCESS.format(result=RESULT.replace("<OutputFile>", f"<OutputFile>{name[0]}"))).jobs
    assert len(job.results) == 2


@pytest.mark.parametrize(
    ("state", "working"),
    [
        ("Submitted", True),
        ("Running", True),
        ("Pause", True),
        ("Hatching", True),
        ("Success", False),
        ("Failed", False),
        ("Cancel", False),
    ],
)
def test_only_three_states_are_the_end(state: str, working: bool) -> None:
    (job,) = page(SUCCESS.replace("<State>Success", f"<State>{state}").format(result="")).jobs
    assert job.is_working is working


def test_ids_nobody_knows_and_the_next_page() -> None:
    found = page("<Response><NonExistJobIds>a</NonExistJobIds><NextToken>7</NextToken></Response>")
    assert (found.jobs, found.unknown, found.next_token) == ((), ("a",), "7")


def test_the_reason_of_a_failure_is_the_services_own() -> None:
    text = SUCCESS.format(result="").replace("<Code>Success</Code><Message/>", "<Code>E1</Code><Message>bad</Message>")
    assert page(text).jobs[0].reason == "E1: bad"
    assert page(SUCCESS.format(result="")).jobs[0].reason == "no reason given"


NODES = st.recursive(
    st.none() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "JobsDetail",
                    "Operation",
                    "Output",
                    "MediaResult",
                    "OutputFile",
                    "Md5Info",
                    "ObjectName",
                    "Input",
                    "State",
                    "Progress",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(st.dictionaries(st.sampled_from(["JobsDetail", "NextToken", "NonExistJobIds"]), NODES))
def test_no_answer_of_any_shape_breaks_the_reader(document: dict[str, object]) -> None:
    try:
        read_page(document)
    except ServiceError as error:
        pytest.fail(f"{error}")


def test_what_is_kept_of_an_answer_does_not_say_where_ci_calls() -> None:
    where = {"CallBack": "https://x/secret", "CallBackFormat": "JSON"}
    detail = {"JobId": "j", "State": "Success", **where, "Operation": {"UserData": "k", **where}}
    (job,) = read_page({"JobsDetail": detail}).jobs
    assert json.loads(job.answer) == {"JobId": "j", "State": "Success", "Operation": {"UserData": "k"}}
