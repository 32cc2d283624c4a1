from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_core.errors import ServiceError
from plugin_core.providers.tencent_ci.documents import nodes_of, read_xml, text_of, write_xml

BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY c "&a;&a;&a;">]><b>&c;</b>"""


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        b"<!DOCTYPE html><html><body>502</body></html>",
        b"",
        b"no xml",
        b"<a><b></a>",
        b"\xff\xfe\x00",
        b"<?xml version='1.0' encoding='bogus'?><a/>",
    ],
    ids=["bomb", "html", "empty", "text", "unclosed", "binary", "encoding"],
)
def test_what_is_no_plain_xml_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(ServiceError, match=r"^Tencent CI: .*answer") as caught:
        read_xml(content, "Tencent CI")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "text",
    ['<!DOCTYPE b [<!ENTITY a "x">]><b><c>&a;</c></b>', '<!DOCTYPE b SYSTEM "file:///etc/passwd"><b><c>a</c></b>'],
    ids=["entity", "external"],
)
def test_a_document_type_is_refused_in_any_encoding(encoding: str, text: str) -> None:
    with pytest.raises(ServiceError):
        read_xml(text.encode(encoding), "x")


def test_one_child_and_many_are_both_lists() -> None:
    one = read_xml(b"<Response><JobsDetail><JobId>a</JobId></JobsDetail></Response>", "x")
    two = read_xml(b"<Response><JobsDetail><JobId>a</JobId></JobsDetail><JobsDetail/></Response>", "x")
    assert [node["JobId"] for node in nodes_of(one, "JobsDetail")] == ["a"]
    assert len(nodes_of(two, "JobsDetail")) == 1


def test_white_space_ahead_of_the_declaration_is_skipped() -> None:
    assert read_xml(b'\n \n<?xml version="1.0"?><R><ETag>x</ETag></R>', "x") == {"ETag": "x"}


def test_empty_nodes_are_left_out_and_the_rest_is_escaped() -> None:
    nodes = {"Name": "a<&>ü", "Nothing": "", "None": None, "Inner": {"Empty": ""}, "Zero": "0"}
    assert write_xml("R", nodes) == "<R><Name>a&lt;&amp;&gt;ü</Name><Zero>0</Zero></R>".encode()


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).map(str.strip))
def test_any_text_survives_writing_and_reading(text: str) -> None:
    if text and "\ufffe" not in text and "\uffff" not in text:
        assert text_of(read_xml(write_xml("R", {"T": text}), "x").get("T")) == text


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        assert isinstance(read_xml(content, "x"), dict)
    except ServiceError as error:
        assert "\n" not in str(error)
