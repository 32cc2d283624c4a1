"""A beets of its own for a test: configuration, library, and real ``beet`` processes.

``BEET`` names the ``beet`` to run, for the matrix of versions; default the one beside this Python.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import quick_start
from tests.hosts.beets.services import install

ROOT = Path(__file__).parents[3]
BEET = os.environ.get("BEET") or str(Path(sys.executable).with_name("beet"))
COMMAND = [BEET] if "BEET" in os.environ else [sys.executable, "-m", "tests.hosts.beets.beet"]
IGNORE = '[".*", "*~", "System Volume Information", "lost+found", "*.stems"]'
_NOISE = re.compile(r"^(Created database backup|Migrat|Converting|Backing up|.*backup at).*\n?", re.MULTILINE)


def is_installed() -> bool:
    """Tell whether there is a ``beet`` to run."""
    return shutil.which(BEET) is not None


class Outcome:
    """How a ``beet`` process ended."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.code = done.returncode
        self.out = done.stdout.decode("utf-8", "replace")
        self.err = _NOISE.sub("", done.stderr.decode("utf-8", "replace"))

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


class Beets:
    """One user's beets.

    Args:
        root: folder for everything.
        environ: more variables for its processes.
    """

    def __init__(self, root: Path, environ: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.inbox = root / "inbox"
        self.music = root / "music"
        self.home = root / "stembridge"
        self.ledger = root / "ledger"
        for folder in (self.inbox, self.music, self.home):
            folder.mkdir(parents=True)
        packages = install(root / "packages")
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("STEMBRIDGE_")},
            "BEETSDIR": str(root),
            "STEMBRIDGE_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT)]),
            "PYTHONWARNINGS": "default",
            "LEDGER": str(self.ledger),
            "NO_COLOR": "1",
            **(environ or {}),
        }
        self.configure()

    def configure(self, section: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Write config.yaml: our section, and other keys at its top."""
        settings: dict[str, Any] = {
            "directory": str(self.music),
            "library": str(self.root / "library.db"),
            "plugins": ["stembridge", "scrub", "convert", "edit"],
            "import": {"copy": True, "autotag": False},
            "ui": {"color": False},
            "scrub": {"auto": False},
            "convert": {"dest": str(self.root / "converted"), "threads": 1, "copy_album_art": False},
            "ignore": json.loads(IGNORE),
            "paths": {"default": "$artist/$title", "singleton": "$artist/$title", "comp": "$artist/$title"},
            "create_backup_before_migrations": False,
            "stembridge": {"provider": "ledger", "tries": 2, **(section or {})},
            **more,
        }
        # JSON is YAML.
        (self.root / "config.yaml").write_text(json.dumps(settings), encoding="utf-8")

    def run(
        self,
        *words: str,
        environ: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        answer: str = "",
    ) -> Outcome:
        """Run ``beet``, which may ask for an answer, and return how it ended, well or not."""
        done = quick_start.run(
            [*prefix, *COMMAND, *words],
            env={**self.environ, **(environ or {})},
            cwd=self.root,
            input=answer.encode(),
            capture_output=True,
            timeout=600,
            check=False,
        )
        return Outcome(done)

    def do(self, *words: str, environ: Mapping[str, str] | None = None) -> Outcome:
        """Run ``beet``, which must end well and without a traceback."""
        outcome = self.run(*words, environ=environ)
        assert outcome.code == 0, outcome
        assert "Traceback" not in outcome.err, outcome
        return outcome

    def start(self, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start ``beet`` beside the test."""
        return quick_start.Popen(
            [*COMMAND, *words],
            env={**self.environ, **(environ or {})},
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def values(self, field: str, *query: str) -> list[str]:
        """Return one field of every song that matches."""
        return self.do("ls", "-f", f"${field}", *query).out.splitlines()

    def bought(self) -> list[str]:
        """Return the songs that the ledger's separator was paid for, in order."""
        if not self.ledger.exists():
            return []
        return [line.partition(" ")[2] for line in self.ledger.read_text("utf-8", "surrogateescape").splitlines()]
