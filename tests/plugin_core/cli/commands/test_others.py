from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from plugin_core import hookimpl
from plugin_core.cli.commands.doctor import CHECKS
from plugin_core.errors import RefusedError
from plugin_core.manifests import manifest
from plugin_core.model import Model, ModelOption
from plugin_core.providers.engine import SpeedBook
from plugin_core.providers.local import plugin as local_plugin
from plugin_core.providers.neural import networks
from plugin_core.providers.neural import plugin as neural_plugin
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator

README = (Path(__file__).parents[4] / "README.md").read_text(encoding="utf-8")
LOCAL = (FakePoint("local", local_plugin),)


def test_models_are_listed_and_searched(stembridge: Run) -> None:
    table = stembridge("models").out.splitlines()
    assert table[0].split() == ["PROVIDER", "MODEL", "NAME", "PRICE/MIN", "RATING", "STEMS"]
    assert "1.5 credits" in table[1]
    assert table[2].split("  ")[-1] == "kick, snare"
    assert "Drums apart  free, premium" in table[2]
    model, end = stembridge("models", "SNARE apart", "--provider", "fake", "--json").events
    assert (model["event"], model["provider"], model["id"]) == ("model", "fake", "drumsep")
    assert end == {"event": "summary", "count": 1, "exit_code": 0}
    assert [model["id"] for model in stembridge("models", "fake", "--json").of("model")] == ["halves", "drumsep"]
    assert stembridge("models", "theremin").err == "stembridge: no model matches 'theremin'\n"
    assert stembridge("models", "theremin", "--json").code == 2
    assert stembridge("models", "--provider", "nobody").code == 2


@pytest.mark.parametrize(
    "listed",
    [RuntimeError("broken"), None, [None], [Model(id="x", name="X", stems=("a",), rating="good")]],  # type: ignore[arg-type]
    ids=["raises", "nothing", "no model", "no number"],
)
def test_one_faulty_provider_empties_no_list_of_models(stembridge: Run, listed: object) -> None:
    class Faulty(FakeSeparator):
        name = "faulty"

        async def models(self) -> Sequence[Model]:
            if isinstance(listed, Exception):
                raise listed
            return listed  # type: ignore[return-value]

    shown = stembridge("models", "--json", points=(FakePoint("faulty", FakePlugin(Faulty())),))
    assert (shown.code, {model["provider"] for model in shown.of("model")}) == (1, {"fake"})
    assert [error["provider"] for error in shown.of("error")] == ["faulty"]


def test_one_model_is_shown_with_all_its_options(stembridge: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    option = ModelOption(
        name="size",
        title="Size",
        choices={"1": "one", "2": "two"},
        default="1",
        when="only here",
        multipliers={"2": "3"},
    )
    found = Model(id="halves", name="Halves", stems=("left", "right"), results="speech", options=(option,))

    async def models(_self: object) -> list[Model]:
        return [found]

    monkeypatch.setattr(FakeSeparator, "models", models)
    shown = stembridge("models", "fake", "Halves").out.splitlines()
    assert shown[0] == "model     halves, Halves"
    assert "results   speech, placed as they come" in shown
    assert shown[-3:] == ["--option size=  Size, default 1, only here", "    1  one", "    2  two (price x 3)"]
    (model,) = stembridge("models", "fake", "halves", "--json").of("model")
    assert (model["provider"], model["options"][0]["choices"]) == ("fake", {"1": "one", "2": "two"})
    unknown = stembridge("models", "fake", "halve")
    assert (unknown.code, "did you mean 'halves'?" in unknown.err) == (2, True)


def test_the_list_fits_its_terminal_and_loses_no_name(stembridge: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stems = tuple(f"instrument-{number}" for number in range(9))
    long = Model(id="9", name="A model of a rather long name (by someone)", stems=stems, access="registered")

    async def models(_self: object) -> list[Model]:
        return [long]

    monkeypatch.setattr(FakeSeparator, "models", models)
    monkeypatch.setenv("COLUMNS", "80")
    lines = stembridge("models", "--provider", "fake").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(any(word in line for line in lines) for word in ["A", "model", "of", "a", "rather", "long", "name"])
    assert all(stem in "".join(lines) for stem in stems)


def test_who_asks_for_the_best_engine_hears_which_it_is_and_how_fast_it_was_here(stembridge: Run, home: Path) -> None:
    def told() -> str:
        return stembridge("models", "--provider", "auto", points=LOCAL).out.splitlines()[-1]

    assert told() == "what auto takes of local"
    speeds = SpeedBook(home)
    speeds.note("local network", 2.0, 1.0)  # most of which went into starting
    speeds.note("local network", 120.0, 4.0)
    assert told() == "what auto takes of local, 30.0 x as fast as songs play on this machine"


NEURAL = (FakePoint("neural", neural_plugin),)


def test_a_model_is_offered_with_size_and_licence_before_it_is_fetched(
    stembridge: Run, home: Path, tmp_path: Path
) -> None:
    refused = stembridge("models", "fetch", "umxhq", points=NEURAL)
    assert refused.code == 2 and refused.err.endswith("stembridge: nobody can be asked here; say --yes\n")
    said = dict(line.split(None, 1) for line in refused.err.splitlines()[:-1])
    assert said["size"] == "143 MB, 4 files" and said["licence"].startswith("MIT, as its record at Zenodo says")
    assert said["from"] == "zenodo.org" and said["into"] == str(home / "models")
    assert "36 MB, 1 file" in stembridge("models", "fetch", "umxhq", "vocals", points=NEURAL).err
    assert "FOR RESEARCH, NOT FOR COMMERCIAL USE" in stembridge("models", "fetch", "htdemucs", points=NEURAL).err
    assert "COMMERCIALLY IS NOT STATED" in stembridge("models", "fetch", "kuielab_a", points=NEURAL).err
    for words in (("fetch",), ("fetch", "umx"), ("fetch", "umxhq", "guitar"), ("drums", "--yes")):
        assert stembridge("models", *words, points=NEURAL).code == 2
    stranger = tmp_path / "vocals-b62c91ce.pth"
    stranger.write_bytes(b"nothing")
    taken = stembridge("models", "fetch", "umxhq", "--model-file", stranger, points=NEURAL)
    assert taken.code == 2 and f"{stranger} is no file of umxhq" in taken.err
    rows = {
        model["id"]: model
        for model in stembridge("models", "--provider", "neural", "--json", points=NEURAL).events[:-1]
    }
    assert (rows["umxhq"]["state"], rows["htdemucs"]["state"]) == ("to fetch", "to fetch")
    assert rows["umxhq"]["size"] == 4 * 35_637_796 and "MIT" in rows["umxhq"]["licence"]


def test_a_file_that_the_user_brings_makes_a_model_be_here(
    stembridge: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought = tmp_path / "from the browser.onnx"
    brought.write_bytes(b"onnx")
    file = networks.read_catalogue()["htdemucs"].files[0]
    text = manifest("providers/neural.toml").read_text(encoding="utf-8")
    text = text.replace(file.sha256, hashlib.sha256(b"onnx").hexdigest()).replace(f"{file.bytes:_}", "4")
    (tmp_path / "neural.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(networks, "manifest", lambda _name: tmp_path / "neural.toml")
    done = stembridge("models", "fetch", "htdemucs", "--model-file", brought, points=NEURAL)
    assert (done.code, done.out) == (0, f"{home / 'models' / 'htdemucs.onnx'}\n")
    again = stembridge("models", "fetch", "htdemucs", "--json", points=NEURAL)
    assert (again.code, again.err) == (0, "") and again.of("model")[0]["state"] == "here"


def test_a_provider_that_fails_takes_no_other_ones_models_along(stembridge: Run) -> None:
    class Dumb(FakeSeparator):
        name = "dumb"

        async def models(self) -> Sequence[Model]:
            raise RefusedError("the token is not valid", remedy="stembridge login dumb")

    points = (FakePoint("dumb", FakePlugin(Dumb())),)
    result = stembridge("models", points=points)
    assert (result.code, result.err) == (1, "stembridge: dumb: the token is not valid; stembridge login dumb\n")
    assert "halves" in result.out
    told = stembridge("models", "--json", points=points)
    assert [event["event"] for event in told.events] == ["model", "model", "error", "summary"]
    assert (told.of("error")[0]["provider"], told.events[-1]["exit_code"]) == ("dumb", 1)
    assert stembridge("models", "--provider", "dumb", points=points).code == 3


@pytest.mark.parametrize("answer", ["raises", "nothing"])
def test_one_separator_whose_models_raises_does_not_empty_the_list(stembridge: Run, answer: str) -> None:
    class Broken(FakeSeparator):
        name = "broken"

        async def models(self) -> Sequence[Model]:
            if answer == "raises":
                raise ValueError("boom")
            return None  # type: ignore[return-value]

    points = (FakePoint("broken", FakePlugin(Broken())),)
    result = stembridge("models", points=points)
    assert result.code == 1
    assert result.err.startswith("stembridge: broken: plugin broken failed: ")
    assert result.err.count("\n") == 1
    assert "halves" in result.out
    told = stembridge("models", "--json", points=points)
    assert [event["event"] for event in told.events] == ["model", "model", "error", "summary"]


def test_plugins_name_what_they_add_and_what_is_broken(stembridge: Run) -> None:
    assert stembridge("plugins").code == 0
    result = stembridge("plugins", "--json", points=(FakePoint("broken", ImportError("no module\nof that name")),))
    assert result.code == 1
    broken, fake, end = result.events
    assert end == {"event": "summary", "count": 2, "exit_code": 1}
    assert (broken["name"], broken["hooks"], broken["error"]) == ("broken", [], "ImportError: no module of that name")
    assert (fake["name"], fake["hooks"], fake["error"]) == ("fake", ["register_separators"], "")


def test_doctor_finds_a_good_installation_well(stembridge: Run) -> None:
    result = stembridge("doctor", "--json", points=LOCAL)
    checks = result.of("check")
    assert [check["name"] for check in checks] == list(CHECKS)
    assert result.code == 0, result.out
    assert not [check for check in checks if check["verdict"] == "wrong"]
    assert {check["name"]: check["found"] for check in checks}["separation"].endswith("vocals, drums, bass, other")
    assert result.events[-1]["exit_code"] == 0


def test_doctor_says_what_to_mend_and_goes_on(stembridge: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.toml").write_text("[separate]\nprovider = 3\n")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = stembridge("doctor", points=(FakePoint("broken", ImportError("gone")),))
    assert result.code == 1
    lines = result.out.splitlines()
    assert (
        f"problem settings     {home / 'config.toml'}, line 2: [separate] provider: expected text, got a whole number"
        in lines
    )
    assert "problem plugins      broken: ImportError: gone" in lines
    assert any(line.startswith("warning ffmpeg       not found") for line in lines)
    assert lines[-1] == "2 problems to mend"


def test_doctor_writes_paths_in_full_and_a_word_a_line(
    stembridge: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config.toml").write_text("")
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "ffmpeg"
    tool.write_text("#!/bin/sh\necho ffmpeg version 9 Copyright\n")
    tool.chmod(0o755)
    monkeypatch.chdir(home.parent)
    monkeypatch.setattr(shutil, "which", lambda name: os.path.relpath(tool))
    lines = stembridge("doctor", points=LOCAL).out.splitlines()
    told = {line[8:21].strip(): (line[:8].strip(), line[21:]) for line in lines[:-1] if line[:8].strip()}
    assert {word for word, _ in told.values()} <= {"ok", "warning", "problem"}
    assert told["home folder"] == ("ok", str(home))
    assert told["settings"][1].startswith(f"{home / 'config.toml'};")
    assert told["ffmpeg"] == ("ok", f"9 in {tool}")


def test_doctor_tells_a_home_that_cannot_be_made(stembridge: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").touch()
    monkeypatch.setenv("STEMBRIDGE_HOME", str(home / "file" / "home"))
    checks = {check["name"]: check for check in stembridge("doctor", "--json").of("check")}
    assert checks["home folder"]["verdict"] == "wrong"
    assert "STEMBRIDGE_HOME" in checks["home folder"]["remedy"]
    assert checks["settings"]["verdict"] == "wrong"
    assert "job store" not in checks


def test_demo_measures_what_it_made(stembridge: Run, tmp_path: Path) -> None:
    result = stembridge("demo", "--json", points=LOCAL)
    assert result.code == 0, result.err
    (score,) = result.of("score")
    assert score["difference"] == 0.0
    assert set(score["sdr"]) == {"vocals", "drums", "bass", "other"}
    assert all(score["sdr"][name] > score["untouched"][name] + 3 for name in score["sdr"])
    shown = re.findall(r"^(vocals|drums|bass|other) +([-\d.]+) +[-\d.]+$", README, re.MULTILINE)
    assert {name: float(ratio) for name, ratio in shown} == pytest.approx(score["sdr"], abs=0.2)
    assert result.events[-1]["event"] == "summary"
    assert len(list((tmp_path / "stembridge-demo" / "Small Hours.stems").iterdir())) == 4
    people = stembridge("demo", points=LOCAL)
    assert "made stembridge-demo (2)" in people.out
    assert "The four stems add up to the song exactly, sample for sample." in people.out


def test_plugins_names_one_that_fails_to_register(stembridge: Run) -> None:
    class Broken:
        @hookimpl
        def register_separators(self) -> None:
            raise ValueError("boom")

    class Formless:
        @hookimpl
        def register_session_formats(self) -> None:
            raise ValueError("no form")

    result = stembridge("plugins", points=(FakePoint("broken", Broken()), FakePoint("formless", Formless())))
    assert result.code == 1
    assert "boom" in result.out and "no form" in result.out


def test_demo_that_cannot_separate_leaves_no_song(stembridge: Run, tmp_path: Path) -> None:
    assert stembridge("demo", "--to", "here").code == 2
    assert not (tmp_path / "here").exists()


def test_demo_goes_to_no_user_that_is_none(stembridge: Run) -> None:
    result = stembridge("demo", "--to", "~nobody-of-that-name/x", points=LOCAL)
    assert (result.code, result.err.count("\n")) == (2, 1)
