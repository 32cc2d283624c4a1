"""The simulator as a process: ``python -m tests.simulators.mvsep --port 0 --state DIR --audio echo``."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.simulators.mvsep import Behaviour, MvsepSimulator
from tests.simulators.mvsep.behaviours import WALKS
from tests.simulators.mvsep.service import RATE_LIMIT
from tests.simulators.process import serve_process


def main() -> None:
    parser = argparse.ArgumentParser(description="MVSEP on loopback; prints where as one JSON line.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=Path, help="folder for uploads and results")
    parser.add_argument("--audio", choices=["split", "echo"], default="split")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--rate-limit", type=int, default=RATE_LIMIT)
    parser.add_argument("--walk", choices=sorted(WALKS), default="short")
    given = parser.parse_args()
    serve_process(
        MvsepSimulator(
            audio=given.audio,
            nodes=given.nodes,
            rate_limit=given.rate_limit,
            folder=given.state,
            port=given.port,
            behaviour=Behaviour(walk=WALKS[given.walk]),
        )
    )


main()
