"""The ``SCR`` lines of reaper-kb.ini, which register scripts as actions.

``SCR <flags> <section> <id> "Custom: <name>" <path>``; the path is relative to ``Scripts``, with ``/``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from stembridge_reaper.install.catalogue import Action
from stembridge_reaper.install.places import SCRIPTS

ALWAYS_NEW = 516
"""Flag: an action that runs already is started once more without a question."""

_OURS = re.compile(rf'^SCR \d+ \d+ (RS\w+) ".*" "?{SCRIPTS}/stembridge_[^/"]+\.py"?$')


def registration(action: Action) -> str:
    """Return the line that registers an action in the main section."""
    path = f'"{action.path}"' if " " in action.path else action.path
    return f'SCR {ALWAYS_NEW} 0 {action.id} "Custom: stembridge: {action.title}" {path}'


def register(lines: Sequence[str], actions: Sequence[Action]) -> list[str]:
    """Return the lines of a key map in which exactly these of our actions stand, and all others where they were."""
    wanted = {action.id: registration(action) for action in actions}
    kept = []
    for line in lines:
        ours = own_id(line)
        if ours is None:
            kept.append(line)
        elif ours in wanted:
            kept.append(wanted.pop(ours))
    return [*kept, *wanted.values()]


def unregister(lines: Sequence[str]) -> list[str]:
    """Return the lines of a key map without our actions; keys bound to them stay and wait for the next install."""
    return [line for line in lines if own_id(line) is None]


def missing_actions(lines: Collection[str], actions: Sequence[Action]) -> list[Action]:
    """Return the actions that are not registered."""
    return [action for action in actions if registration(action) not in lines]


def own_id(line: str) -> str | None:
    """Return the id of the action of ours that a line registers, or None."""
    found = _OURS.match(line.strip())
    return found.group(1) if found else None
