"""What it costs to tell what a song sounds like: ``python -m tests.benchmarks.recordings [SECONDS]``.

Exact formats: what feeding the digest adds to a decode that happens anyway, in seconds and as a ratio. Coded ones: the
digest of the packets against reading the file and hashing its bytes. Last, files that are known by their status.
Processor time of this process and its children, the least of some rounds.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import psutil
import soundfile
