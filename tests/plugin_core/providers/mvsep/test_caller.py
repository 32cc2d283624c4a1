from __future__ import annotations

import json
from typing import Any

import pytest

from plugin_core.errors import RefusedError, ServiceError, SettingsError, SourceError, StembridgeError, TransientError
from plugin_core.providers.mvsep.caller import Nodes, refusal
from plugin_core.transfer import Answer

BASE = "https://mvsep.com/api"


@pytest.mark.parametrize(
    ("link", "origin"),
    [
        ("https://mvsep.com/api/separation/get?hash=h", BASE),
        ("https://de2.mvsep.com/api/separation/get?hash=h", "https://de2.mvsep.com/api"),
        ("https://DE.mvsep.com:8443/api/separation/get-remote?hash=h", "https://DE.mvsep.com:8443/api"),
        ("http://de2.mvsep.com/api/separation/get?hash=h", BASE),
        ("https://mvsep.com.evil.example/api/separation/get?hash=h", BASE),
        ("https://evilmvsep.com/api/separation/get?hash=h", BASE),
        ("https://mvsep.com@evil.example/api/separation/get?hash=h", BASE),
        ("https://user:p@mvsep.com/api/separation/get?hash=h", BASE),
        ("https://de2.mvsep.com/storage/x", BASE),
        ("http://127.0.0.1/api/separation/get?hash=h", BASE),
        ("http://[::1", BASE),
        ("https://mvsep.com:nonsense/api/separation/get", BASE),
        ("", BASE),
    ],
)
def test_follows_a_job_only_to_hosts_of_the_service(link: str, origin: str) -> None:
    assert Nodes(BASE).origin_of(link) == origin


def test_the_configured_base_and_injected_hosts_are_trusted() -> None:
    nodes = Nodes("https://own.example:444/mvsep/api/", trusted=["localhost"])
    assert nodes.base == "https://own.example:444/mvsep/api"
    assert nodes.is_trusted("https://own.example:444/x")
    assert not nodes.is_trusted("https://own.example/x")
    assert nodes.is_trusted("http://localhost:5000/api")
    assert nodes.is_trusted("https://mirror.mvsep.com/api")


def test_without_the_token_any_safe_place_may_be_asked() -> None:
    nodes = Nodes(BASE)
    assert nodes.pick("https://else.example/api/", with_token=False) == "https://else.example/api"
    assert nodes.pick("", with_token=True) == BASE
    with pytest.raises(ServiceError, match="the token is not sent there"):
        nodes.pick("https://else.example/api", with_token=True)


@pytest.mark.parametrize("base", ["http://mvsep.com/api", "mvsep.com", "https://u:p@mvsep.com/api", ""])
def test_an_unsafe_base_is_a_wrong_setting(base: str) -> None:
    with pytest.raises(SettingsError, match=r"\[mvsep\] base_url"):
        Nodes(base)


def answer(status: int, body: Any) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {}, content)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"message": "Unauthenticated."}, RefusedError),
        (401, {"data": {"message": "Invalid API key"}}, RefusedError),
        (401, {"message": "Access denied"}, TransientError),
        (401, b"<html>robot?</html>", TransientError),
        (403, b"<html>robot?</html>", TransientError),
        (403, {"message": "premium only"}, RefusedError),
        (400, {"errors": ["invalid token"]}, RefusedError),
        (400, {"errors": ["Seperation type is unavailable until you purchase premium membership"]}, RefusedError),
        (400, {"errors": ["Not enough credits"]}, RefusedError),
        (400, {"errors": ["You have reached the limit of separations for today"]}, RefusedError),
        (400, {"errors": ["You already have a file in queue, wait before adding"]}, TransientError),
        (400, {"errors": ["File exceeds the 100 MB free limit"]}, SourceError),
        (400, {"errors": ["File exceeds the 10 minutes free limit"]}, SourceError),
        (400, {"errors": ["Files over 100 MB are for premium accounts"]}, SourceError),
        (400, {"errors": ["Up to 10 minutes without premium membership"]}, SourceError),
        (400, {"errors": ["You have exceeded your daily limit"]}, RefusedError),
        (400, {"errors": ["You have exceeded the limit of separations for today"]}, RefusedError),
        (400, {"errors": ["Your balance is exceeded"]}, RefusedError),
        (400, {"errors": ["The audiofile is empty."]}, SourceError),
        (413, b"<html>413 Request Entity Too Large</html>", SourceError),
        (404, b"<html>nothing</html>", ServiceError),
        (404, {"message": "The route x could not be found."}, ServiceError),
        (429, {"message": "Too Many Attempts."}, TransientError),
        (200, {"success": False, "errors": ["nonsense"]}, ServiceError),
        (200, {"success": 0}, ServiceError),
        (400, {}, ServiceError),
    ],
)
def test_a_refusal_has_its_kind(status: int, body: Any, kind: type[StembridgeError]) -> None:
    found = refusal("MVSEP x", answer(status, body), pause=5.0)
    assert type(found) is kind
    assert found.message.endswith(f"(HTTP {status})")
    if isinstance(found, TransientError):
        assert found.retry_after == 5.0
    if status == 404:
        assert found.remedy == "check [mvsep] base_url"


@pytest.mark.parametrize("body", [{"success": True}, {"success": "true"}, {"success": 1}, [], {}, [{"id": 1}]])
def test_what_does_not_complain_is_no_refusal(body: Any) -> None:
    assert refusal("MVSEP x", answer(200, body)) is None
