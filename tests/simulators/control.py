"""The control channel: what a test in another process says to a simulator, and ``Control`` that says it.

=======  ==========================  ================================================================
GET      /_control/state             ``simulator.state()``
GET      /_control/log               the requests so far
GET      /_control/faults            the faults in place, with ``seen`` and ``struck``
POST     /_control/faults            a fault, or a list of them: ``{"kind": "reset", "after": true, ...}``
POST     /_control/release           end hangs, stalls and drips
POST     /_control/clock             ``{"advance": seconds}``
POST     /_control/command/NAME      ``simulator.command(NAME, {...})``
POST     /_control/stop              end the process
=======  ==========================  ================================================================
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.simulators.faults import Fault
from tests.simulators.messages import Answer, json_answer

if TYPE_CHECKING:
    from tests.simulators.server import Simulator

PREFIX = "/_control/"


def respond(simulator: Simulator, method: str, target: str, body: bytes) -> Answer:
    """Do what the control channel asks."""
    name = urlsplit(target).path.removeprefix(PREFIX)
    try:
        return json_answer(_act(simulator, method, name, json.loads(body) if body else {}))
    except (KeyError, TypeError, ValueError) as error:
        return json_answer({"error": repr(error)}, 400)


def _act(simulator: Simulator, method: str, name: str, value: Any) -> Any:
    match method, name.split("/"):
        case "GET", ["state"]:
            return simulator.state()
        case "GET", ["log"]:
            return [entry.as_json() for entry in simulator.requests()]
        case "GET", ["faults"]:
            return simulator.faults.as_json()
        case "POST", ["faults"]:
            faults = [Fault(**one) for one in (value if isinstance(value, list) else [value])]
            return [simulator.faults.add(fault).number for fault in faults]
        case "POST", ["release"]:
            return simulator.release()
        case "POST", ["clock"]:
            return simulator.clock.advance(float(value["advance"]))
        case "POST", ["command", command]:
            return simulator.command(command, value)
        case "POST", ["stop"]:
            return simulator.stop_asked.set()
    raise KeyError(f"{method} {PREFIX}{name}")


class Control:
    """The control channel of a simulator in another process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._ask("GET", "state")
        return state

    def log(self) -> list[dict[str, Any]]:
        log: list[dict[str, Any]] = self._ask("GET", "log")
        return log

    def faults(self) -> list[dict[str, Any]]:
        faults: list[dict[str, Any]] = self._ask("GET", "faults")
        return faults

    def add_faults(self, *faults: Fault) -> None:
        self._ask("POST", "faults", [asdict(fault) for fault in faults])

    def release(self) -> None:
        self._ask("POST", "release")

    def advance(self, seconds: float) -> None:
        self._ask("POST", "clock", {"advance": seconds})

    def command(self, name: str, **arguments: Any) -> Any:
        return self._ask("POST", f"command/{name}", arguments)

    def stop(self) -> None:
        self._ask("POST", "stop")

    def _ask(self, method: str, name: str, value: Any = None) -> Any:
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(self.url + PREFIX + name, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(error.read().decode()) from error
