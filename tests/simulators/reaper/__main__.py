"""A REAPER process: opens a project, runs one action to its end, and saves.

``python -m tests.simulators.reaper RESOURCE_PATH PROJECT.json SCRIPT.py`` reads and replaces the project's state, and
writes ``PROJECT.rpp`` beside it. Prints one line of JSON: what the message boxes and errors said.
"""

from __future__ import annotations

import json
import os
import sys

from tests.simulators.reaper.chunks import write_project
from tests.simulators.reaper.engine import FakeReaper
from tests.simulators.reaper.host import Host


def main(resource_path: str, project_path: str, script: str) -> int:
    """Run one action and return the exit code."""
    reaper = FakeReaper(resource_path)
    reaper.active.path = os.path.splitext(project_path)[0] + ".rpp"
    with open(project_path, encoding="utf-8") as opened:
        reaper.active.restore(json.load(opened))
    reaper.active.history[:] = [("open", reaper.active.state())]
    host = Host(reaper)
    host.start(script)
    host.run()
    with open(reaper.active.path, "w", encoding="utf-8") as opened:
        opened.write(write_project(reaper.active))
    staged = project_path + ".new"
    with open(staged, "w", encoding="utf-8") as opened:
        json.dump(reaper.active.state(), opened)
    os.replace(staged, project_path)
    print(json.dumps({"boxes": [message for message, _ in reaper.boxes], "errors": host.errors}))
    return len(host.errors)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
