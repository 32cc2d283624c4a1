from __future__ import annotations

import pytest

from plugin_core.errors import ServiceError, SettingsError
from plugin_core.providers.mvsep.caller import Nodes

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
