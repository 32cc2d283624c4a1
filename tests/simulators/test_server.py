"""The base of the simulators: HTTP as it is spoken, and every fault."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.simulators import faults
from tests.simulators.blobs import CHUNK, Blob
from tests.simulators.control import Control
from tests.simulators.faults import Fault
from tests.simulators.messages import Answer, Request, json_answer
from tests.simulators.server import Simulator
from tests.simulators.storage import serve

CONTENT = bytes(range(256)) * 4096


class _Echo(Simulator):
    effects = 0

    def respond(self, request: Request) -> Answer:
        self.effects += 1
        if request.path == "/file":
            return serve(request, Blob.of(CONTENT), etag="one")
        if request.path == "/wrong":
            raise RuntimeError("a mistake")
        return json_answer({"path": request.path, "form": request.form.fields, "sha256": request.sha256})


@pytest.fixture
def service() -> Iterator[_Echo]:
    with _Echo() as simulator:
        yield simulator


@pytest.fixture
def client(service: _Echo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=20) as made:
        yield made


def test_form_and_large_file_are_logged(service: _Echo, client: httpx.Client) -> None:
    answer = client.post("/a b?x=1", data={"key": "ü"}, files={"audio": ("ä.wav", CONTENT)})
    assert answer.json()["form"] == {"key": "ü"}
    entry = service.log[0]
    assert (entry.method, entry.path, entry.query, entry.form) == ("POST", "/a b", {"x": "1"}, {"key": "ü"})
    assert entry.files["audio"]["filename"] == "ä.wav"
    assert entry.files["audio"]["sha256"] == Blob.of(CONTENT).sha256()
    assert entry.length > len(CONTENT)
    assert entry.body == b""
    # The connection is kept, so its thread takes the next request only once it is through with this one.
    client.get("/next")
    assert not list((service.folder / "bodies").iterdir())


def test_needle_is_found_across_chunks(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (CHUNK - 3) + b"--mark" + b"y" * 10 + b"--mark")
    found = Blob.file(tmp_path / "a").positions(b"--mark")
    assert found == [CHUNK - 3, CHUNK + 13]
    assert Blob.of(b"--mark-----mark").positions(b"--mark") == [0, 9]


def test_chunked_body_is_read_but_not_with_a_length(service: _Echo, client: httpx.Client) -> None:
    assert client.post("/x", content=iter([b"abc", b"def"])).status_code == 200
    assert service.log[0].length == 6
    refused = client.post("/x", content=iter([b"abc"]), headers={"Content-Length": "3", "Transfer-Encoding": "chunked"})
    assert refused.status_code == 400
    assert service.effects == 1


def test_cut_upload_has_no_effect(service: _Echo) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert service.effects == 0
    assert service.log[0].status is None


@pytest.mark.parametrize(
    ("headers", "status", "content"),
    [
        ({"Range": "bytes=5-9"}, 206, CONTENT[5:10]),
        ({"Range": "bytes=-4"}, 206, CONTENT[-4:]),
        ({"Range": "bytes=1048570-", "If-Range": '"one"'}, 206, CONTENT[1048570:]),
        ({"Range": "bytes=5-9", "If-Range": '"two"'}, 200, CONTENT),
        ({"Range": "bytes=1048576-"}, 416, b""),
    ],
    ids=["middle", "last", "rest", "changed", "beyond"],
)
def test_storage_serves_ranges(client: httpx.Client, headers: dict[str, str], status: int, content: bytes) -> None:
    answer = client.get("/file", headers=headers)
    assert (answer.status_code, answer.content) == (status, content)


@pytest.mark.parametrize(
    ("fault", "status", "header"),
    [
        (faults.rate_limited(seconds=3), 429, "3"),
        (faults.rate_limited(date=0.0), 429, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (faults.server_error(), 500, None),
        (faults.bad_gateway(), 502, None),
        (faults.html_page(), 200, None),
    ],
    ids=["seconds", "date", "500", "502", "html"],
)
def test_refusals_strike_once_and_before_the_effect(
    service: _Echo, client: httpx.Client, fault: Fault, status: int, header: str | None
) -> None:
    armed = service.faults.add(fault)
    answer = client.get("/x")
    assert (answer.status_code, answer.headers.get("Retry-After"), service.effects) == (status, header, 0)
    assert client.get("/x").json()["path"] == "/x"
    assert (armed.struck, armed.seen) == (1, 2)


@pytest.mark.parametrize(
    ("fault", "effects"),
    [(faults.reset_before(), 0), (faults.reset_after(), 1), (faults.reset_upload(at=9), 0)],
    ids=["before", "after", "upload"],
)
def test_resets(service: _Echo, client: httpx.Client, fault: Fault, effects: int) -> None:
    service.faults.add(fault)
    with pytest.raises(httpx.TransportError):
        client.post("/x", content=CONTENT)
    assert service.effects == effects


@pytest.mark.parametrize(
    "fault",
    [faults.truncate(at=1000), faults.truncate(at=-1), faults.wrong_length(at=5)],
    ids=["cut", "last byte", "longer"],
)
def test_spoilt_answers(service: _Echo, client: httpx.Client, fault: Fault) -> None:
    service.faults.add(fault)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/file")


def test_nth_and_pattern_choose_the_request(service: _Echo, client: httpx.Client) -> None:
    service.faults.add(faults.server_error("GET", "/s*", nth=2, query="*key=1*"))
    said = [client.get(target).status_code for target in ("/s?key=1", "/other?key=1", "/s", "/s?key=1", "/s?key=1")]
    assert said == [200, 200, 200, 500, 200]


@pytest.mark.parametrize("ending", ["release", "stop"])
def test_hang_ends(service: _Echo, ending: str) -> None:
    armed = service.faults.add(faults.hang())
    caught: list[Exception] = []

    def ask() -> None:
        try:
            httpx.get(service.url + "/x", timeout=20)
        except httpx.TransportError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    armed.wait()
    service.release() if ending == "release" else service.stop()
    thread.join(20)
    assert caught


def test_drip_sends_everything(service: _Echo, client: httpx.Client) -> None:
    service.faults.add(faults.drip(at=1 << 18, seconds=0.001))
    assert client.get("/file").content == CONTENT


def test_control_channel(service: _Echo, client: httpx.Client) -> None:
    control = Control(service.url)
    control.add_faults(faults.server_error())
    assert client.get("/x").status_code == 500
    assert control.faults()[0]["struck"] == 1
    assert [entry["path"] for entry in control.log()] == ["/x"]
    before = service.clock()
    control.advance(60)
    assert service.clock() >= before + 60
    with pytest.raises(ValueError, match="KeyError"):
        control.command("nothing")


def test_mistake_of_a_simulator_reaches_the_test() -> None:
    with pytest.raises(RuntimeError, match="a mistake"), _Echo() as service:
        assert httpx.get(service.url + "/wrong").status_code == 500
