"""The simulated MediaX calls back as its documentation and its clients say."""

from __future__ import annotations

import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from plugin_core.providers.mediax.adapter import MediaxTagger
from plugin_core.providers.mediax.settings import MediaxSettings
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, WRAPPINGS, MediaxSimulator

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
    heard: list[bytes] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by http.server
            """Print nothing."""

    simulator = MediaxSimulator(fetches=False, walk=(1, state), wrapping=wrapping)
    with simulator as service, HTTPServer(("127.0.0.1", 0), Listener) as server:
        hearing = threading.Thread(target=server.handle_request)
        hearing.start()
        made = create(service, [{"url": "https://songs.example/a.mp3"}], f"http://127.0.0.1:{server.server_port}/x")
        job = made["createJobResponse"]["job"]["id"]
        for _ in range(4):
            ask(service, "GetJob", "getJobRequest", {"id": job})
        hearing.join(30)
    (body,) = heard
    assert set(json.loads(body)) >= {"id"} if wrapping == "bare" else set(json.loads(body)) == {wrapping}
    assert set(MediaxTagger(MediaxSettings()).read_callback(body, "application/json")) == {job, "key"}


@pytest.mark.parametrize(
    ("inputs", "is_taken"),
    [
        ([{"url": "https://songs.example/a.mp3"}], True),
        ([{"source": {"contentId": "c", "path": "a.mp3"}}], True),
        ([{"url": "https://songs.example/a.mp3", "source": {"contentId": "c", "path": "a.mp3"}}], False),
        ([{}], False),
        ([], False),
    ],
    ids=["url", "source", "both", "neither", "none"],
)
def test_an_input_is_a_url_or_a_source(inputs: list[dict[str, Any]], is_taken: bool) -> None:
    with MediaxSimulator(fetches=False) as service:
        answer = create(service, inputs)
    assert ("createJobResponse" in answer, "errorResponse" in answer) == (is_taken, not is_taken)
