from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plugin_core.cli.request import Batch, RunRequest
from plugin_core.console.display import PlainDisplay
from plugin_core.model import Job, JobState, Separation
from plugin_core.session import Session
from plugin_core.settings import Settings
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes


class Unheard(PlainDisplay):
    """Whose reader goes away, or whose disk fills, once a job runs."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def change(self, job: Job, previous: Job | None) -> None:
        if job.state is JobState.RUNNING:
            raise self.error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left on device")], ids=["pipe", "disk"])
def test_an_output_that_is_gone_stops_the_run_and_is_raised(
    home: Path, song: Path, fake: FakeSeparator, error: OSError
) -> None:
    with Session(Settings(), load_fakes(FakePoint("fake", FakePlugin(fake)))) as session:
        request = RunRequest(paths=(song,), operations=(Separation(provider="fake"),))
        batch = Batch(session, Unheard(error), request)
        with pytest.raises(type(error)) as raised:
            asyncio.run(batch.separate())
        assert raised.value is error
        (job,) = session.store.list()
        assert job.state is not JobState.FAILED
