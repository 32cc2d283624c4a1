"""What goes wrong after the paid call, and what people do then: nothing is paid again without their word."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.audio_files import write_song
from tests.end_to_end.bought_bench import Bench
from tests.end_to_end.shops import MvsepShop
from tests.simulators.faults import html_page, refuse, truncate

at_all = pytest.mark.parametrize("bench", ["mvsep", "mvsep, shared", "tencent_ci", "mediax"], indirect=True)
at_separators = pytest.mark.parametrize("bench", ["mvsep", "mvsep, shared", "tencent_ci"], indirect=True)


def forbidden(method: str, path: str, **rest: Any) -> object:
    """Answer 403."""
    return refuse(method, path, 403, **rest)


def missing(method: str, path: str, **rest: Any) -> object:
    """Answer 404."""
    return refuse(method, path, 404, **rest)


def empty(method: str, path: str, **rest: Any) -> object:
    """Answer nothing."""
    return truncate(method, path, at=0, **rest)


@pytest.mark.parametrize(
    ("bench", "fault", "word"),
    # Each fault at each service, and each word after each fault: what comes back is asked for alike.
    [
        (service, fault, ("retry", "same command")[(number + at) % 2])
        for at, service in enumerate(("mvsep", "tencent_ci"))
        for number, fault in enumerate((html_page, missing, forbidden, empty))
    ],
    indirect=["bench"],
)
def test_a_download_that_is_no_good_is_fetched_again(
    bench: Bench, song: Path, fault: Callable[..., Any], word: str
) -> None:
    armed = bench.shop.break_downloads(fault, times=None)
    process = bench.begin_to_buy(song)
    armed.wait(3)
    bench.kill(process)
    bench.shop.mend()
    bench.come_back(word, song)
    assert bench.shop.paid == 1 and song.with_suffix(".stems").is_dir()


@at_separators
def test_a_song_replaced_by_another_while_its_job_runs_is_asked_for_and_loses_nothing(bench: Bench, song: Path) -> None:
    bench.shop.hold()
    process = bench.begin_to_buy(song)
    bench.shop.wait_asked()
    ours = song.rename(song.with_name("kept.flac"))
    write_song(song, 1.2, 44100, seed=7)
    bench.shop.let_go()
    _, err = process.communicate()
    assert process.returncode == 1
    assert b"is another song than the one that was separated; put that one back to have its stems placed" in err
    assert not song.with_suffix(".stems").exists()
    ours.replace(song)
    bench.come_back("retry", song)
    assert bench.shop.paid == 1 and song.with_suffix(".stems").is_dir()


@at_all
def test_a_cancel_that_the_service_refuses_is_taken_back(bench: Bench, song: Path) -> None:
    bench.shop.hold(is_refusing=True)
    process = bench.begin_to_buy(song)
    bench.shop.wait_asked(2)
    bench.kill(process)
    (job,) = bench.jobs()
    code, out, _ = bench.run("jobs", "cancel", job["id"])
    assert (code, "cancelled" in out) == (0, True)
    bench.shop.let_go()
    bench.come_back("retry", song)
    assert bench.shop.paid == 1


@pytest.mark.parametrize("bench", ["mvsep"], indirect=True)
def test_what_is_gone_everywhere_is_not_bought_again_unasked(bench: Bench, song: Path) -> None:
    bench.buy(song)
    shutil.rmtree(song.with_suffix(".stems"))
    shutil.rmtree(bench.home / "purchases")
    assert isinstance(bench.shop, MvsepShop)
    bench.shop.service.expire()
    code, _, err = bench.run(*bench.command, "--yes", song)
    assert (code, bench.shop.paid) == (1, 1)
    assert "--force" in err
    (job, _) = bench.jobs()
    code, out, err = bench.run("jobs", "retry", job["id"], "--force")
    assert (code, bench.shop.paid) == (0, 2), (out, err)
