"""The simulated MediaX calls back as its documentation and its clients say."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from plugin_core.providers.mediax.adapter import MediaxTagger
from plugin_core.providers.mediax.client import MediaxSettings
from tests.simulators.calling_back import listen
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, WRAPPINGS, MediaxSimulator
from tests.simulators.mediax_stems import CONTENT_ID

KEYS = {"secretId": SECRET_ID, "secretKey": SECRET_KEY}


def ask(service: MediaxSimulator, action: str, key: str, request: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"action": action, key: request, **KEYS}).encode()
    call = urllib.request.Request(f"{service.url}/job", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(call, timeout=30) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def create(service: MediaxSimulator, inputs: list[dict[str, Any]], callback: str = "") -> dict[str, Any]:
    output = {"inputSelectors": [0], "smartContentDescriptor": {"musicTagV2": {"tagType": ["all"]}}}
    request = {"customId": "key", "callback": callback, "inputs": inputs, "outputs": [output]}
    return ask(service, "CreateJob", "createJobRequest", request)


@pytest.mark.parametrize("state", [3, 4], ids=["complete", "error"])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_end_is_called_back_once(wrapping: str, state: int) -> None:
    with MediaxSimulator(fetches=False, walk=(1, state), wrapping=wrapping) as service, listen() as ear:
        made = create(service, [{"url": "https://songs.example/a.mp3"}], ear.url)
        job = made["createJobResponse"]["job"]["id"]
        for _ in range(4):
            ask(service, "GetJob", "getJobRequest", {"id": job})
        assert ear.heard.wait(300)
    (body,) = ear.bodies
    assert set(json.loads(body)) >= {"id"} if wrapping == "bare" else set(json.loads(body)) == {wrapping}
    assert set(MediaxTagger(MediaxSettings()).read_callback(body, "application/json")) == {job, "key"}


@pytest.mark.parametrize(
    ("inputs", "is_taken"),
    [
        ([{"url": "https://songs.example/a.mp3"}], True),
        ([{"source": {"contentId": CONTENT_ID, "path": "a.mp3"}}], True),
        ([{"source": {"contentId": "other", "path": "a.mp3"}}], False),
        ([{"url": "https://songs.example/a.mp3", "source": {"contentId": "c", "path": "a.mp3"}}], False),
        ([{}], False),
        ([], False),
    ],
    ids=["url", "source", "other", "both", "neither", "none"],
)
def test_an_input_is_a_url_or_a_source(inputs: list[dict[str, Any]], is_taken: bool) -> None:
    with MediaxSimulator(fetches=False) as service:
        answer = create(service, inputs)
    assert ("createJobResponse" in answer, "errorResponse" in answer) == (is_taken, not is_taken)
