"""The command line with short waits, in a process of its own: ``python -m tests.end_to_end.hasty separate ...``.

``STEMBRIDGE_TEST_BREAK=PART`` breaks the HTTP library, at every address that holds PART, by an exception that tells it.
``STEMBRIDGE_TEST_SEARCH=SECONDS`` is how long a lost job is looked for, in place of longer than any machine takes.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tests import quick_start

ROOT = Path(__file__).parents[2]
BREAK = "STEMBRIDGE_TEST_BREAK"
SEARCH = "STEMBRIDGE_TEST_SEARCH"


def start(
    environ: Mapping[str, str], *arguments: object, output: IO[bytes] | None = None, errors: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command with these settings; it says nothing to the terminal of the tests.

    One that runs for long writes to files, ``output`` and ``errors``, where a pipe would wait for its reader.
    """
    return quick_start.Popen(
        [sys.executable, "-m", __name__, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=output or subprocess.PIPE,
        stderr=errors or subprocess.PIPE,
    )


def main() -> int:
    """Run the command line, impatiently."""
    from plugin_core.__main__ import main as run
    from plugin_core.jobs import engine
    from plugin_core.jobs.policy import Backoff, Policy
    from plugin_core.transfer import pauses

    search_for = float(os.environ.get(SEARCH, "600"))
    hasty = functools.partial(Policy, backoff=Backoff(first=0.05, most=0.3), search_for=search_for, settle=0.2)
    engine.Policy = hasty  # type: ignore[assignment,attr-defined]
    pauses.FIRST = 0.02  # type: ignore[misc]
    if BREAK in os.environ:
        _break_answers(os.environ[BREAK])
    return run()


def _break_answers(part: str) -> None:
    import httpx

    answer = httpx.AsyncHTTPTransport.handle_async_request

    async def break_answer(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        if part in str(request.url):
            content = await request.aread() if request.method == "POST" else b""
            raise RuntimeError(f"no answer to {request.method} {request.url} {content!r}")
        return await answer(transport, request)

    httpx.AsyncHTTPTransport.handle_async_request = break_answer  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    sys.exit(main())
