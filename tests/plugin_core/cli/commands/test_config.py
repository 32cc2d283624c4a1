"""``stembridge config``: where values come from, and a file that is changed in one place or not at all."""

from __future__ import annotations

import os
import stat
import sys
import threading
from importlib import metadata
from pathlib import Path
from typing import cast

import msgspec
import pytest

from plugin_core.cli.commands.config import split_key
from plugin_core.cli.settings import LOCK_NAME, changing
from plugin_core.errors import UsageError
from plugin_core.files.placement import replace_file
from plugin_core.purchases.ledger import Limits
from plugin_core.wishes import TAGS
from tests.plugin_core.cli.conftest import Result, Run
from tests.plugin_core.cli.fakes import FakePoint
from tests.plugin_core.cli.test_app import VENDORS

FILE = """\
# mine

[separate]   # the usual
format = "flac24"  # why
on_overload='scale'

[presets.own]
operations = [{ kind = "separation" }]
[mvsep]
api_token = "hunter2"
slots = 3
"""


@pytest.fixture
def config(home: Path) -> Path:
    path = home / "config.toml"
    path.write_bytes(FILE.replace("\n", "\r\n").encode())
    path.chmod(0o600)
    return path


def call(stembridge: Run, *words: object) -> Result:
    (watch,) = (point for point in metadata.entry_points(group="stembridge") if point.name == "hot_folder")
    return stembridge("config", *words, points=(*VENDORS, cast(FakePoint, watch)))


def test_where_each_value_comes_from(
    stembridge: Run, home: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMBRIDGE_MVSEP_SLOTS", "7")
    keyring = pytest.importorskip("keyring")
    kept = {("stembridge", "tencent.secret_id"): "hunter3"}
    monkeypatch.setattr(keyring, "get_password", lambda service, name: kept.get((service, name)))
    result = call(stembridge, "show", "--json")
    found = {(one["section"], one["key"]): one for one in result.of("setting")}
    assert result.code == 0
    assert "hunter" not in result.out
    assert found["separate", "format"]["place"] == f"{config}, line 4"
    assert found["mvsep", "slots"] | {"event": ""} == {
        "event": "",
        "section": "mvsep",
        "key": "slots",
        "value": 7,
        "origin": "environment",
        "place": "STEMBRIDGE_MVSEP_SLOTS",
    }
    assert (found["mvsep", "api_token"]["value"], found["mvsep", "api_token"]["origin"]) == ("********", "file")
    assert found["tencent", "secret_id"]["origin"] == "keyring"
    assert (found["watch", "at_once"]["value"], found["watch", "at_once"]["origin"]) == (8, "default")
    page = call(stembridge, "show", "separate").out
    assert f'format = "flac24"                    # {config}, line 4\n' in page
    assert "[mvsep]" not in page
    assert call(stembridge, "show", "separate.format").out.count("\n") == 2
    changed = call(stembridge, "show", "--changed").out
    assert "slots = 7 " in changed
    assert "timeout" not in changed
    assert call(stembridge, "path").out == f"{config}\n"


def test_a_wrong_section_hides_no_other(stembridge: Run, config: Path) -> None:
    config.write_text("[separate]\nformt = 1\n[tags]\npolicy = 'append'\n")
    result = call(stembridge, "show")
    assert (result.code, result.err.count("line 2: unknown key 'formt'")) == (2, 1)
    assert 'policy = "append" ' in result.out


@pytest.mark.parametrize(
    ("words", "old", "new"),
    [
        (("separate.format", "wav24"), 'format = "flac24"  # why', 'format = "wav24"  # why'),
        (("separate.on_overload", "float"), "on_overload='scale'", 'on_overload = "float"'),
        (("mvsep.slots", "4"), "slots = 3", "slots = 4"),
        (("separate.format", "--unset"), 'format = "flac24"  # why\r\n', ""),
        (("mvsep.api_token", "--unset"), 'api_token = "hunter2"\r\n', ""),
    ],
)
def test_one_place_changes_and_nothing_else(
    stembridge: Run, config: Path, words: tuple[str, ...], old: str, new: str
) -> None:
    before = config.read_bytes().decode()
    assert call(stembridge, "set", *words).code == 0
    after = config.read_bytes().decode()
    assert after.replace("on_overload = ", "on_overload=") == before.replace(old, new).replace(
        "on_overload = ", "on_overload="
    )
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert {path.name for path in config.parent.glob("*config*")} == {"config.toml", LOCK_NAME}


def test_a_comment_stays_above_its_heading(stembridge: Run, config: Path) -> None:
    before = "[separate]\nformat = 'wav'\n{}\n# of labels\n[tags]\nkeep_mtime = true\n"
    config.write_text(before.format(""))
    assert call(stembridge, "set", "separate.model", "classic").code == 0
    assert config.read_text() == before.format('model = "classic"\n')


def test_new_sections_tables_and_lists(stembridge: Run, home: Path) -> None:
    for words in (
        ("tags.fields.mood", "grouping"),
        ("spend.fake.day", "12.5"),
        ("watch.folders", "/a,/b"),
        ("tags.keep_mtime", "yes"),
        ("watch.at_once", "3"),
    ):
        result = call(stembridge, "set", *words)
        assert (result.code, result.err) == (0, "")
    text = (home / "config.toml").read_text()
    assert stat.S_IMODE((home / "config.toml").stat().st_mode) == 0o600
    assert "\n\n[spend.fake]\nday = 12.5\n" in text
    shown = {f"{one['section']}.{one['key']}": one["value"] for one in call(stembridge, "show", "--json").of("setting")}
    assert shown["tags.fields"] == {"mood": "grouping"}
    assert shown["watch.folders"] == ["/a", "/b"]
    assert shown["tags.keep_mtime"] is True
    assert call(stembridge, "set", "tags.fields.mood", "--unset").code == 0
    assert "grouping" not in (home / "config.toml").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("mvsep.api_token", "hunter4"), "stembridge login mvsep"),
        (("separate.formt", "x"), "did you mean 'format'"),
        (("seperate.format", "x"), "did you mean 'separate'"),
        (("watch.at_once", "0"), "watch.at_once: expected a whole number >= 1"),
        (("separate.format", "mp5"), "nothing was changed"),
        (("separate.provider", "nobody"), "no separator 'nobody'"),
        (("separate.format.x", "1"), "is no table"),
        (("separate", "1"), "[separate] has no key ''"),
        (("presets.own.title", "1"), "stembridge config edit"),
        (("separate.model", "--unset"), "does not stand in the file"),
        (("separate.format",), "say a value, or --unset"),
        (("separate.format", "wav", "--unset"), "say a value, or --unset"),
    ],
)
def test_what_is_wrong_changes_nothing(stembridge: Run, config: Path, words: tuple[str, ...], told: str) -> None:
    before = config.read_bytes()
    result = call(stembridge, "set", *words)
    assert (result.code, told in result.err) == (2, True), result.err
    assert "hunter4" not in result.err
    assert config.read_bytes() == before


def test_a_mistake_that_is_there_already_keeps_no_other_key_from_being_set(stembridge: Run, config: Path) -> None:
    config.write_text("[separate]\nformat = 'mp5'\n[tags]\npolicy = 'nonsense'\n")
    assert call(stembridge, "set", "separate.format", "wav").code == 0
    assert call(stembridge, "set", "separate.format", "mp6").code == 2


def test_a_variable_that_wins_is_told(stembridge: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMBRIDGE_SEPARATE_FORMAT", "wav")
    assert call(stembridge, "set", "separate.format", "mp3").err == (
        "stembridge: STEMBRIDGE_SEPARATE_FORMAT is set and wins over the file\n"
    )


def test_a_draft_is_open_to_nobody_else(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, modes, flush = home / "config.toml", [], os.fsync
    path.touch(0o640)

    def look(descriptor: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    replace_file(path, b"")
    assert (modes, stat.S_IMODE(path.stat().st_mode)) == ([0o600], 0o640)


def test_a_link_stays_a_link_and_rights_stay(stembridge: Run, home: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("[tags]\nkeep_mtime = false\n")
    real.chmod(0o644)
    (home / "config.toml").symlink_to(real)
    assert call(stembridge, "set", "tags.keep_mtime", "true").code == 0
    assert (real.read_text(), stat.S_IMODE(real.stat().st_mode)) == ("[tags]\nkeep_mtime = true\n", 0o644)


def test_what_the_way_to_a_key_is() -> None:
    kinds: dict[str, type[msgspec.Struct]] = {"tags": TAGS, "spend.mvsep": Limits}
    assert split_key("tags.fields.mood", kinds) == ("tags", "fields", ["mood"])
    assert split_key("spend.mvsep.day", kinds) == ("spend.mvsep", "day", [])
    for word in ("tags.fields.", "tags.policy.x", "spend.day", "tags.fields.a.b", ""):
        with pytest.raises(UsageError):
            split_key(word, kinds)


def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let $EDITOR be a program that changes the file it is given."""
    script = tmp_path / "my editor.py"
    script.write_text(f"import sys; from pathlib import Path; path = Path(sys.argv[1]); {code}\n")
    monkeypatch.setenv("EDITOR", f"'{sys.executable}' '{script}'")
    monkeypatch.delenv("VISUAL", raising=False)


def test_an_edited_file_takes_its_place(
    stembridge: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor(tmp_path, monkeypatch, "path.write_text('[tags]\\nkeep_mtime = true\\n')")
    result = call(stembridge, "edit")
    assert (result.code, result.out) == (0, f"{home / 'config.toml'} is changed\n")
    assert stat.S_IMODE((home / "config.toml").stat().st_mode) == 0o600
    assert [path.name for path in home.glob("config*")] == ["config.toml"]
    assert call(stembridge, "edit").out == "nothing was changed\n"


def test_a_broken_edit_is_told_and_kept_beside(
    stembridge: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = config.read_bytes()
    for text, told in (
        ("[separate\\n", "line 1, key '[separate'"),
        ("[watch]\\nat_once = 0\\n", "line 2: [watch] at_once"),
        ("[presets.x]\\n", "[presets.x]"),
    ):
        editor(tmp_path, monkeypatch, f"path.write_text('{text}')")
        result = call(stembridge, "edit")
        (draft,) = config.parent.glob("config.*.toml")
        assert (result.code, told in result.err, str(draft) in result.err) == (2, True, True), result.err
        assert str(config) in result.err
        assert config.read_bytes() == before
        assert stat.S_IMODE(draft.stat().st_mode) == 0o600
        draft.unlink()


def test_a_draft_that_was_thrown_away_empties_nothing(
    stembridge: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = config.read_bytes()
    editor(tmp_path, monkeypatch, "path.unlink()")
    assert call(stembridge, "edit").out == "nothing was changed\n"
    assert config.read_bytes() == before


def test_an_edit_does_not_run_over_another(
    stembridge: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor(tmp_path, monkeypatch, f"path.write_text('# new'); Path({str(config)!r}).write_text('# other')")
    result = call(stembridge, "edit")
    assert (result.code, "changed meanwhile" in result.err) == (2, True)
    assert config.read_text() == "# other"
    for code, told in (("sys.exit(3)", "the editor ended with 3"), ("path.write_text('# other')", "")):
        editor(tmp_path, monkeypatch, code)
        assert told in call(stembridge, "edit").err
    for name in ("no-such-editor-here", "vi '"):
        monkeypatch.setenv("VISUAL", name)
        assert f"{name} cannot be started: No" in call(stembridge, "edit").err
    assert len(list(config.parent.glob("config*"))) == 2  # the file, and the draft that could not take its place


def test_two_that_change_the_file_at_once_lose_nothing(stembridge: Run, config: Path) -> None:
    path = config.resolve()
    began = threading.Event()

    def change() -> None:
        began.set()
        call(stembridge, "set", "separate.model", "classic")

    with changing(path):
        other = threading.Thread(target=change)
        other.start()
        assert began.wait(60)
        # It may or may not have come so far by now: with what it read before, it would take this back.
        other.join(0.5)
        path.write_text(path.read_text() + "\n[jobs]\nlease_seconds = 77\n")
    other.join()
    text = path.read_text()
    assert "lease_seconds = 77" in text
    assert 'model = "classic"' in text
