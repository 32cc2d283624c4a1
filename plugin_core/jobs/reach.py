"""Which jobs one process works on: those whose songs it sees, and the steps it was told to do."""

from __future__ import annotations

from typing import Final, NamedTuple

from plugin_core.model import JobState


class Reach(NamedTuple):
    """Which jobs a process can work on; the others are for those that can."""

    states: tuple[JobState, ...] | None = None
    """Where jobs that live at a service are in their life; None for anywhere."""
    is_local: bool = True
    """Whether jobs of engines on this machine are among them."""
    names: tuple[str, ...] | None = None
    """Names in the store of the folders with songs that are seen; None for any song."""

    def covers(self, state: JobState, *, occupies: bool) -> bool:
        """Tell whether a job that has come to a state is still among them."""
        return (self.states is None or state in self.states) if occupies else self.is_local

    @property
    def condition(self) -> str:
        """The same for the rows ``j``."""
        states = ", ".join(f"'{state}'" for state in self.states or ())
        at_service = "1 = 1" if self.states is None else f"j.state IN ({states})" if states else "1 = 0"
        local = "1 = 1" if self.is_local else "1 = 0"
        parts = [f"((j.occupies = 1 AND {at_service}) OR (j.occupies = 0 AND {local}))"]
        if self.names is not None:
            seen = [f"(j.path >= '{name}:' AND j.path < '{name};')" for name in self.names]
            parts.append(f"({' OR '.join(seen or ['1 = 0'])})")
        return " AND ".join(parts)


ANY: Final = Reach()
