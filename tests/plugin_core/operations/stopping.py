"""Tags a song, or takes its labels out, and stops where the copy is whole and not yet in place: to be killed there.

``python -m tests.plugin_core.operations.stopping tag|undo HOME SONG``; says "at work" and waits.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from plugin_core import Session, Settings
from plugin_core.settings import no_keyring
from plugin_core.tags import tagger
from tests.plugin_core.operations.running import tag
from tests.plugin_core.tagger_fakes import FakeTagger, load_taggers


def stop(*_: object) -> None:
    print("at work", flush=True)
    time.sleep(3600)


def main(what: str, home: Path, song: Path) -> None:
    setattr(tagger, "flush", stop)  # noqa: B010 - it is imported there, and by nobody else
    with Session(Settings(home, keyring=no_keyring), load_taggers(FakeTagger())) as session:
        if what == "undo":
            session.undo(song)
        else:
            tag(session, song)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
