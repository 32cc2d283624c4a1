"""One tagging from its plan to its end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from plugin_core import Job, Session, Tagging


def tag(session: Session, song: Path, *, force: bool = False, **words: Any) -> tuple[Job, bool]:
    """Plan, add and run one tagging."""

    async def work() -> tuple[Job, bool]:
        source = session.inspect(song)
        plan = await session.plan(source, Tagging(**{"provider": "ears", **words}))
        job, made = await session.add(source, plan, force=force)
        await session.run([job.id])
        return session.store.get(job.id), made

    return asyncio.run(work())
