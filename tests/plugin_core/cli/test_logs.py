from __future__ import annotations

import logging
from pathlib import Path

import pytest

from plugin_core.cli.logs import ROOT, Logs


def tell(message: str, at: float) -> None:
    record = ROOT.makeRecord(ROOT.name, logging.WARNING, __file__, 0, message, (), None)
    record.created = at
    ROOT.handle(record)


def test_what_several_tell_at_once_is_one_line_and_later_it_is_news(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = Logs(tmp_path)
    logs.open(verbose=False, quiet=False)
    try:
        for message, at in (("broken", 10.0), ("broken", 10.1), ("other", 10.2), ("broken", 10.3), ("broken", 99.0)):
            tell(message, at)
    finally:
        logs.close()
    told = capsys.readouterr().err.splitlines()
    assert told == [f"stembridge: {message}" for message in ("broken", "other", "broken", "broken")]
    assert logs.has_said("other")
    assert not logs.has_said("nothing")
    assert (tmp_path / "logs" / "stembridge.log").read_text().count("broken") == 4
