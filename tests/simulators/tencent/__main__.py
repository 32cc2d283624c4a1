"""``python -m tests.simulators.tencent``: the service as a process of its own."""

from __future__ import annotations

from tests.simulators.process import serve_process
from tests.simulators.tencent.service import TencentSimulator

if __name__ == "__main__":
    serve_process(TencentSimulator())
