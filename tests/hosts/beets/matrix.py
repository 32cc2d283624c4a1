"""The tests of the beets host against several versions of beets, each in an environment of its own.

Run: ``python -m tests.hosts.beets.matrix [2.7.1 2.10.0 latest] [-- pytest options]``. The tests run in this Python;
the ``beet`` processes they start are those of the version. Environments stay in ``~/.cache/stembridge-beets`` (or the
folder in ``BEETS_MATRIX``) for the next time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[3]
VERSIONS = ("2.7.1", "2.10.0", "latest")


def main(arguments: list[str]) -> int:
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    versions, options = arguments[:cut] or list(VERSIONS), arguments[cut + 1 :]
    folder = Path(os.environ.get("BEETS_MATRIX") or Path.home() / ".cache" / "stembridge-beets")
    codes = {version: _test(folder / version, version, options) for version in versions}
    for version, code in codes.items():
        print(f"beets {version}: {'passed' if code == 0 else f'failed ({code})'}")
    return max(codes.values())


def _test(home: Path, version: str, options: list[str]) -> int:
    beet = _install(home, version)
    with tempfile.TemporaryDirectory() as empty:
        # Any command of beets opens the library, and would bring that of whoever runs this up to date.
        told = subprocess.check_output([beet, "version"], text=True, env={**os.environ, "BEETSDIR": empty})
    print("---", *(line for line in told.splitlines() if line.startswith("beets version")), flush=True)
    command = [sys.executable, "-m", "pytest", "tests/hosts/beets", *options]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "BEET": str(beet)}, check=False).returncode


def _install(home: Path, version: str) -> Path:
    """Make the environment, or bring it up to date, and return its ``beet``."""
    if not (home / "pyvenv.cfg").exists():
        venv.create(home, with_pip=True)
    wanted = "beets" if version == "latest" else f"beets=={version}"
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "-q", "--upgrade"]
    subprocess.run([*pip, wanted, "-e", str(ROOT)], check=True)
    return home / "bin" / "beet"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
