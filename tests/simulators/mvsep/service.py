"""The simulated service as a whole: its state, and who answers what."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.simulators.clocks import SimulatorClock
from tests.simulators.messages import Answer, Request, json_answer
from tests.simulators.mvsep.accounts import GUEST, Account, usual_accounts
from tests.simulators.mvsep.behaviours import Behaviour
from tests.simulators.mvsep.budgets import Budget
from tests.simulators.mvsep.jobs import Job, RemoteJob
from tests.simulators.mvsep.refusals import RefusedError, refusal, unauthorised
from tests.simulators.mvsep.results import ResultMaker
from tests.simulators.server import Simulator

Endpoint = Callable[["MvsepSimulator", Request], Answer]

RATE_LIMIT = 1_000_000


class MvsepSimulator(Simulator):
    """MVSEP on loopback; see the package for its use.

    Args:
        audio: "split" for parts that sum to the source, "echo" for cheap valid files.
        nodes: how many hosts it has; jobs live on one of them.
        rate_limit: requests a minute for each token.
        folder: where uploads and results are kept; a temporary one if not given.
        port: of the first node; 0 for any.
        clock: Unix time in seconds.
        behaviour: of jobs nothing else was said about.
        seed: of chances and hashes.

    Attributes:
        created: how many creates were accepted, each of which is a charge for the user.
        charges: each with hash, token, credits, time, and whether it was refunded.
        refusals: each with path, status and text.
        error_family: the shape of every error, instead of that of the endpoint; see ``refusals.refusal``.
        queue_full_status: 400 or 429, of a create beyond the account's concurrent jobs.
        allows_guests: whether a create without a token is a guest's.
        is_strict: whether options of fields the model does not have, or hides, are refused rather than ignored.
        has_ranges: whether downloads can be resumed.
        is_drifting: whether types are the odd ones that were captured: numbers as text, flags as numbers.
        slug_length: how many characters of an upload's name hashes keep; None for all.
    """

    def __init__(
        self,
        *,
        audio: str = "split",
        nodes: int = 1,
        rate_limit: int = RATE_LIMIT,
        folder: Path | None = None,
        port: int = 0,
        clock: SimulatorClock | None = None,
        behaviour: Behaviour | None = None,
        seed: int = 1,
    ) -> None:
        super().__init__(folder=folder, ports=(port, *(0,) * (nodes - 1)), clock=clock, seed=seed)
        self.accounts = usual_accounts()
        self.budget = Budget(rate_limit)
        self.behaviours: list[tuple[str, Behaviour]] = [("*", behaviour or Behaviour())]
        self.jobs: list[Job] = []
        self.remotes: dict[str, RemoteJob] = {}
        self.charges: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []
        self.entries: dict[int, dict[str, Any]] = {}
        self.max_active: dict[str, int] = {}
        self.created = 0
        self.error_family = ""
        self.queue_full_status = 400
        self.allows_guests = False
        self.is_strict = True
        self.has_ranges = True
        self.is_drifting = False
        self.slug_length: int | None = None
        self.chance = random.Random(seed)
        self._audio = audio
        self._by_hash: dict[str, Job] = {}
        self._by_stem: dict[str, list[Job]] = {}

    @property
    def api(self) -> str:
        """The base address clients are given."""
        return self.url + "/api"

    def start(self) -> None:
        super().start()
        (self.folder / "results").mkdir(exist_ok=True)
        self.results = ResultMaker(self.folder / "results", self._audio)

    def add_account(self, token: str, **values: Any) -> Account:
        """Add an account; values are the fields of ``Account``."""
        with self.lock:
            self.accounts[token] = Account(token, **values)
            return self.accounts[token]

    def behave(self, behaviour: Behaviour, name: str = "*") -> None:
        """Say how uploads whose file name (or link) matches go from now on; the latest said wins."""
        with self.lock:
            self.behaviours.insert(0, (name, behaviour))

    def behaviour_of(self, name: str) -> Behaviour:
        return next(behaviour for pattern, behaviour in self.behaviours if fnmatchcase(name, pattern))

    def respond(self, request: Request) -> Answer:
        from tests.simulators.mvsep.downloads import download
        from tests.simulators.mvsep.endpoints import ENDPOINTS

        if request.path.startswith("/storage/"):
            return download(self, request)
        path = request.path.removeprefix("/api/").strip("/")
        endpoints = ENDPOINTS.get(path)
        if not request.path.startswith("/api/") or endpoints is None:
            return json_answer({"message": f"The route {path} could not be found."}, 404)
        with self.lock:
            headers, too_many = self.budget.spend(self._spender(request), self.clock())
        answer = too_many or self._call(endpoints, request)
        answer.headers.update(headers)
        return answer

    def account(self, request: Request) -> Account:
        """Return whose token a request carries, in the form or in the query.

        Raises:
            RefusedError: nobody's.
        """
        token = self.parameter(request, "api_token")
        if not token and self.allows_guests and request.path.endswith("separation/create"):
            return self.accounts.setdefault(GUEST, Account(GUEST))
        if token not in self.accounts or token == GUEST:
            raise unauthorised(request.path)
        return self.accounts[token]

    def parameter(self, request: Request, name: str, default: str = "") -> str:
        """Return a parameter from the form, else from the query."""
        return request.form.fields.get(name, request.query.get(name, default))

    def find_job(self, job_hash: str, node: int | None = None) -> Job | None:
        """Return a job; with a node, only if it lives there and has shown up."""
        job = self._by_hash.get(job_hash)
        if job is None or (node is not None and (job.node != node or job.is_hidden(self.clock()))):
            return None
        return job

    def add_job(self, job: Job) -> None:
        self.jobs.append(job)
        self._by_hash[job.hash] = job
        for stem in {job.hash, job.hash.rpartition(".")[0]}:
            self._by_stem.setdefault(stem, []).append(job)

    def active_count(self, token: str) -> int:
        """Return how many jobs of an account are unprocessed, links being fetched included."""
        now = self.clock()
        jobs = sum(1 for job in self.jobs if job.token == token and job.is_active(now))
        return jobs + sum(1 for one in self.remotes.values() if one.order.token == token and one.is_active)

    def count_active(self, token: str) -> None:
        """Keep the most that an account ever had; a job just taken counts even if it is done at once."""
        self.max_active[token] = max(self.max_active.get(token, 1), self.active_count(token))

    def jobs_named(self, name: str) -> list[Job]:
        """Return the jobs a stored file of this name may belong to."""
        parts = name.split("_")
        stems = ("_".join(parts[:count]) for count in range(1, len(parts) + 1))
        return [job for stem in stems for job in self._by_stem.get(stem, [])]

    def random_hash(self, length: int, alphabet: str = string.hexdigits[:16]) -> str:
        return "".join(self.chance.choices(alphabet, k=length))

    def expire(self, job_hash: str = "*") -> None:
        """Let jobs expire now; their history stays, with a negative time left."""
        with self.lock:
            for job in self.jobs:
                if fnmatchcase(job.hash, job_hash):
                    job.lifetime = self.clock() - job.created - 1.0

    def state(self) -> dict[str, Any]:
        with self.lock:
            now = self.clock()
            return {
                "created": self.created,
                "charges": self.charges,
                "refusals": self.refusals,
                "max_active": self.max_active,
                "accounts": {token: account.as_json() for token, account in self.accounts.items()},
                "jobs": [job.as_json(now) for job in self.jobs],
                "requests": len(self.log),
            }

    def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """Do what the package says of commands."""
        match name:
            case "add_account":
                self.add_account(**arguments)
            case "set_account":
                self._set_account(**arguments)
            case "behave":
                self.behave(Behaviour.from_json(arguments["behaviour"]), arguments.get("name", "*"))
            case "expire":
                self.expire(**arguments)
            case "set":
                self._set(arguments)
            case _:
                raise KeyError(name)

    def _set_account(self, token: str, **values: Any) -> None:
        known = {field.name for field in fields(Account)}
        for name, value in values.items():
            if name not in known:
                raise KeyError(name)
            setattr(self.accounts[token], name, value)

    def _set(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if name == "rate_limit":
                self.budget = Budget(value, says_date=self.budget.says_date)
            elif name in (
                "error_family",
                "queue_full_status",
                "allows_guests",
                "is_strict",
                "has_ranges",
                "is_drifting",
                "slug_length",
            ):
                setattr(self, name, value)
            else:
                raise KeyError(name)

    def _spender(self, request: Request) -> str:
        return self.parameter(request, "api_token") or "127.0.0.1"

    def _call(self, endpoints: dict[str, Endpoint], request: Request) -> Answer:
        endpoint = endpoints.get(request.method)
        if endpoint is None:
            text = f"The {request.method} method is not supported for this route. Supported methods: "
            return json_answer({"message": text + ", ".join(endpoints) + "."}, 405)
        try:
            return endpoint(self, request)
        except RefusedError as error:
            with self.lock:
                self.refusals.append({"path": request.path, "status": error.status, "text": error.text})
            return refusal(error.text, error.status, self.error_family or error.family)
