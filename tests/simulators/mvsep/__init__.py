"""MVSEP on loopback: its endpoints, accounts, credits, jobs and results, as strict and as odd as the service is.

In a test::

    with MvsepSimulator(audio="echo") as service:
        client = make_client(base_url=service.api, token=PREMIUM_TOKEN)   # service.url + "/api"
        ...
        assert service.created == 200
        assert service.requests("POST", "*/separation/create")[0].form["sep_type"] == "40"

Accounts: ``FREE_TOKEN`` (one job at a time, 50 a day, 100 MB, 10 minutes) and ``PREMIUM_TOKEN`` (ten jobs, credits);
``service.add_account(token, is_premium=..., credits=..., daily_limit=..., max_jobs=..., max_bytes=...)``; fields of
``service.accounts[token]`` may be changed.

Jobs go as ``Behaviour`` says, which is chosen by the name of the upload::

    service.behave(Behaviour(walk=LONG, download="../../{name}"), "hostile*")
    service.behave(Behaviour(walk=(waiting(3), processing(seconds=30), failed("reason"))))

Walks (``walks``): INSTANT, SHORT, LONG, FOREVER, or any steps; a step takes polls of ``get``, or seconds of
``service.clock``, which ``service.clock.advance(30)`` sets forward. A job ends in done unless its walk fails.

What it keeps: ``created``, ``charges``, ``refusals``, ``max_active`` (by token, the most unprocessed jobs at a time),
``jobs``, ``log`` (every request, with ``form`` and with length and digest of every file). What can be set besides:
see ``MvsepSimulator``; ``service.expire()``; faults as in ``tests.simulators.faults``::

    service.faults.add(reset_after("POST", "*/separation/create", times=50))            # taken, paid, answer lost
    service.faults.add(late("POST", "*/separation/create", requests=2))                 # and in no list for two lists
    service.faults.add(truncate("GET", "/storage/processed/*", at=1000))
    service.faults.add(rate_limited("GET", "*/separation/get", seconds=2))
    service.budget = Budget(60, says_date=True)                                         # a real rate limit

Results sum to the source exactly, sample by sample, for wav and flac (16 bit of a 16-bit source, 24 bit, and float
up to its rounding); what repeats other stems (``Instrumental`` beside drums and bass) is left out of the sum, see
``splitting.derived_labels``.

From other processes, ``run_process("tests.simulators.mvsep", "--audio", "echo")`` yields its origin and a ``Control``:
``control.state()`` has the above; ``control.add_faults``, ``.advance``, ``.log``; ``control.command`` knows
``add_account(token=, ...)``, ``set_account(token=, ...)``, ``behave(behaviour={"walk": "long"}, name="*")``,
``expire(job_hash="*")`` and ``set(rate_limit=, error_family=, queue_full_status=, allows_guests=, is_strict=,
has_ranges=, is_drifting=, slug_length=)``.

Decided where nothing is known: a cancelled job stays in the history without existing, a deleted one leaves it; a link
is charged when its real job begins; options of fields a model does not have, or hides, are refused.
"""

from tests.simulators.mvsep.accounts import FREE_TOKEN, PREMIUM_TOKEN, Account
from tests.simulators.mvsep.behaviours import Behaviour
from tests.simulators.mvsep.service import MvsepSimulator

__all__ = ["FREE_TOKEN", "PREMIUM_TOKEN", "Account", "Behaviour", "MvsepSimulator"]
