from __future__ import annotations

import logging
from pathlib import Path

import pytest

from plugin_core.cli.logs import ROOTS, Logs
from plugin_core.transfer import redaction


def tell(message: str, at: float) -> None:
    (root, *_) = ROOTS
    record = root.makeRecord(root.name, logging.WARNING, __file__, 0, message, (), None)
    record.created = at
    root.handle(record)


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


@pytest.mark.parametrize("root", ROOTS, ids=[root.name for root in ROOTS])
def test_hosts_are_logged_like_the_core_with_secrets_masked(
    root: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    redaction.register("hunter2-hunter2")
    logs = Logs(tmp_path)
    logs.open(verbose=False, quiet=False)
    try:
        log = logging.getLogger(f"{root.name}.somewhere")
        log.warning("sent %s", "hunter2-hunter2")
        log.info("seen hunter2-hunter2")
    finally:
        logs.close()
    log.error("after the end")
    assert capsys.readouterr().err == f"stembridge: sent {redaction.MASK}\n"
    kept = (tmp_path / "logs" / "stembridge.log").read_text().splitlines()
    assert [line.partition(f"{root.name}.somewhere: ")[2] for line in kept] == [
        f"sent {redaction.MASK}",
        f"seen {redaction.MASK}",
    ]
