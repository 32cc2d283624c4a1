"""Locks that tell a dead process from a silent one."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from plugin_core.files.disk import try_lock
from plugin_core.jobs import owner as owner_module
from plugin_core.jobs.owner import ProcessToken, is_dead, token_of


def test_names_are_unique_and_carry_the_token(tmp_path: Path) -> None:
    first, second = ProcessToken(tmp_path), ProcessToken(tmp_path)
    names = [token.new_owner() for token in (first, first, second)]
    assert len(set(names)) == 3
    assert first.is_own(names[0]) and not first.is_own(names[2])
    assert token_of(names[2]) == second.token
    first.close()
    second.close()


def test_closed_token_is_dead_and_leaves_no_file(tmp_path: Path) -> None:
    watcher, token = ProcessToken(tmp_path), ProcessToken(tmp_path)
    owner = token.new_owner()
    assert not watcher.is_dead(owner)
    token.close()
    assert watcher.is_dead(owner)
    watcher.close()
    assert list(tmp_path.iterdir()) == []


def test_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    left = tmp_path / "0123456789abcdef.lock"
    left.touch()
    token = ProcessToken(tmp_path)
    assert not left.exists()
    token.close()


def test_file_that_cannot_be_looked_at_is_no_dead_one(tmp_path: Path) -> None:
    odd = tmp_path / "0123456789abcdef.lock"
    odd.mkdir()
    assert not is_dead(odd)
    assert odd.exists()


@pytest.mark.parametrize("how", ["taken for a dead one", "being looked at"])
def test_file_that_another_process_has_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    close, tried, closed = os.close, list[int](), list[int]()

    def lock_late(file: int) -> bool:
        tried.append(file)
        if len(tried) > 1:
            return try_lock(file)
        if how == "being looked at":
            return False
        for path in tmp_path.iterdir():
            path.unlink()
        return try_lock(file)

    def note(file: int) -> None:
        closed.append(file)
        close(file)

    monkeypatch.setattr(owner_module, "try_lock", lock_late)
    monkeypatch.setattr(os, "close", note)
    token = ProcessToken(tmp_path)
    assert len(tried) == 2 and closed[:1] == tried[:1]
    assert (tmp_path / f"{token.token}.lock").exists()
    token.close()


def _stay(started: object, ended: object) -> None:
    started.set()  # type: ignore[attr-defined]
    ended.wait(60)  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_does_not_keep_its_parent_alive(tmp_path: Path) -> None:
    watcher, token = ProcessToken(tmp_path), ProcessToken(tmp_path)
    context = multiprocessing.get_context("fork")
    started, ended = context.Event(), context.Event()
    child = context.Process(target=_stay, args=(started, ended))
    child.start()
    assert started.wait(30)
    # What the kernel does when the parent is killed: its descriptor goes, the child's stays.
    os.close(token._file)
    token._file = -1
    assert watcher.is_dead(token.new_owner())
    ended.set()
    child.join()
    watcher.close()
