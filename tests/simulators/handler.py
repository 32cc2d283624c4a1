"""One connection: requests read, faults applied, answers sent."""

from __future__ import annotations

import socket
import struct
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.simulators import control
from tests.simulators.blobs import SMALL, Blob, Received, receive, receive_chunked
from tests.simulators.faults import Fault
from tests.simulators.forms import FormError
from tests.simulators.messages import LOGGED_BODY, Answer, LogEntry, Request, text_answer

if TYPE_CHECKING:
    from tests.simulators.server import Simulator

_BODILESS = (204, 304)


class _LostError(Exception):
    """The connection is to be reset, or closed without a word."""

    def __init__(self, *, is_reset: bool) -> None:
        super().__init__()
        self.is_reset = is_reset


class _RefusedError(Exception):
    """The request is malformed at the level of HTTP; the connection ends after the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.answer = text_answer(text, status)


class Handler(BaseHTTPRequestHandler):
    """Serves the requests of one connection in turn."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "nginx"
    sys_version = ""

    def serve(self) -> None:
        self._status: int | None = None
        try:
            if urlsplit(self.path).path.startswith(control.PREFIX):
                self._send(control.respond(self._simulator, self.command, self.path, self._receive(None).blob.read()))
            else:
                self._serve_logged()
        except _RefusedError as error:
            self.close_connection = True
            self._send(error.answer)
        except _LostError as error:
            self._cut(error.is_reset)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = serve  # noqa: N815 - named by http.server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by http.server
        """Print nothing."""

    @property
    def _simulator(self) -> Simulator:
        simulator: Simulator = self.server.simulator  # type: ignore[attr-defined]
        return simulator

    def _serve_logged(self) -> None:
        entry = self._enter()
        split = urlsplit(self.path)
        faults = self._simulator.faults.strike(self.command, unquote(split.path), split.query)
        entry.faults = [fault.kind for fault in faults]
        request = self._read(entry, faults)
        try:
            self._answer(request)
        finally:
            entry.status = self._status
            if request.body.path is not None and not request.is_body_kept:
                request.body.path.unlink(missing_ok=True)

    def _enter(self) -> LogEntry:
        """Write the request into the log before its body is read: a cut upload is seen too."""
        split = urlsplit(self.path)
        with self._simulator.lock:
            entry = LogEntry(
                number=len(self._simulator.log),
                time=self._simulator.clock(),
                node=self.server.node,  # type: ignore[attr-defined]
                method=self.command,
                target=self.path,
                path=unquote(split.path),
                query=dict(parse_qsl(split.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
            )
            self._simulator.log.append(entry)
        return entry

    def _read(self, entry: LogEntry, faults: list[Fault]) -> Request:
        cut = next((fault.at for fault in faults if fault.kind == "reset_upload"), None)
        received = self._receive(entry, cut)
        entry.length, entry.sha256 = received.blob.length, received.sha256
        entry.body = received.blob.read() if received.blob.length <= LOGGED_BODY else b""
        if cut is not None:
            raise _LostError(is_reset=True)
        return Request(
            number=entry.number,
            node=entry.node,
            origin=self._simulator.urls[entry.node],
            method=self.command,
            target=self.path,
            headers=entry.headers,
            body=received.blob,
            sha256=received.sha256,
            time=entry.time,
            log=entry,
            faults=faults,
        )

    def _receive(self, entry: LogEntry | None, cut: int | None = None) -> Received:
        path = self._simulator.folder / "bodies" / f"{entry.number if entry else 'control'}"
        coding = self.headers.get("Transfer-Encoding", "").lower()
        lengths = self.headers.get_all("Content-Length", [])
        if coding and lengths:
            raise _RefusedError(400, "Transfer-Encoding and Content-Length together")
        if coding == "chunked" and not self._simulator.needs_length:
            return self._receive_chunked(path)
        if coding or (self._simulator.needs_length and not lengths and self.command in ("PUT", "POST")):
            raise _RefusedError(411, "Length Required")
        if len(lengths) > 1 or (lengths and not lengths[0].isascii()) or (lengths and not lengths[0].isdigit()):
            raise _RefusedError(400, "Bad Content-Length")
        length = int(lengths[0]) if lengths else 0
        received = receive(self.rfile, length, path, stop_at=cut)
        if cut is None and received.blob.length < length:
            self._forget(received.blob)
            raise _LostError(is_reset=False)
        return received

    def _receive_chunked(self, path: Any) -> Received:
        try:
            return receive_chunked(self.rfile, path)
        except ValueError as error:
            raise _RefusedError(400, f"Bad chunk: {error}") from error

    def _forget(self, blob: Blob) -> None:
        if blob.path is not None:
            blob.path.unlink(missing_ok=True)

    def _answer(self, request: Request) -> None:
        fault = next((one for one in request.faults if one.kind in ("status", "reset", "hang")), None)
        if fault is not None and not fault.after:
            self._send(self._fail(fault))
            return
        answer = self._respond(request)
        self._send(answer if fault is None else self._fail(fault), request.faults)

    def _fail(self, fault: Fault) -> Answer:
        """Return what a fault answers, or lose the connection as it says."""
        if fault.kind == "hang":
            self._simulator.wait_release()
        if fault.kind != "status":
            raise _LostError(is_reset=fault.kind == "reset")
        return Answer(fault.status, Blob.of(fault.body.encode()), {"Content-Type": "text/plain", **fault.headers})

    def _respond(self, request: Request) -> Answer:
        try:
            return self._simulator.respond(request)
        except FormError as error:
            return text_answer(str(error), 400)
        except Exception as error:  # noqa: BLE001 - a mistake of the simulator: told to the test when the server stops
            self._simulator.errors.append(error)
            return text_answer(f"The simulator failed: {error!r}", 500)

    def _send(self, answer: Answer, faults: list[Fault] | None = None) -> None:
        fault = next((one for one in faults or [] if one.kind in _BODY_FAULTS), None)
        length = answer.body.length + (fault.at if fault and fault.kind == "wrong_length" else 0)
        self._status = answer.status
        self.send_response(answer.status)
        headers = {"Content-Length": str(max(0, length)), **answer.headers}
        for name, value in headers.items():
            if answer.status not in _BODILESS or name != "Content-Length":
                self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        is_bodiless = self.command == "HEAD" or answer.status in _BODILESS
        if fault is None and (is_bodiless or answer.body.length <= SMALL):
            self._send_at_once(b"" if is_bodiless else answer.body.read())
            return
        self.end_headers()
        if fault is None:
            answer.body.send(self.connection)
        elif not is_bodiless:
            self._send_badly(answer.body, fault)

    def _send_at_once(self, body: bytes) -> None:
        """Send head and body in one packet."""
        self._headers_buffer.extend((b"\r\n", body))  # type: ignore[attr-defined]
        self.flush_headers()

    def _send_badly(self, body: Blob, fault: Fault) -> None:
        if fault.kind == "drip":
            body.send_slowly(self.connection, fault.at, lambda: self._simulator.wait_release(fault.seconds))
            return
        if fault.kind != "wrong_length":
            body = body.cut(0, fault.at if fault.at >= 0 else body.length + fault.at)
        body.send(self.connection)
        if fault.kind == "stall":
            self._simulator.wait_release()
        self.close_connection = True

    def _cut(self, is_reset: bool) -> None:
        self.close_connection = True
        if is_reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The socket closes, and the reset is sent, only when the stream over it is closed too.
        self.rfile.close()
        self.connection.close()


_BODY_FAULTS = ("drip", "truncate", "stall", "wrong_length")
