"""Every model of the catalogue through the command line: what it must be given, and that what comes back is placed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soundfile

from plugin_core.providers.mvsep import plugin
from plugin_core.stems.treatment import AS_IT_CAME
from tests.audio_files import write_song
from tests.plugin_core.cli.conftest import Run, run_here
from tests.plugin_core.cli.fakes import FakePoint
from tests.simulators.mvsep import PREMIUM_TOKEN, Behaviour, MvsepSimulator
from tests.simulators.mvsep.algorithms import models
from tests.simulators.mvsep.jobs import Job
from tests.simulators.mvsep.walks import INSTANT


@pytest.fixture
def stembridge(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return run_here(capsys, FakePoint("mvsep", plugin))


@pytest.mark.parametrize("third", range(3))
def test_every_model_runs_and_its_results_are_placed(
    stembridge: Run, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, third: int
) -> None:
    song, other = write_song(tmp_path / "Song.flac", 0.3), write_song(tmp_path / "Other.flac", 0.2)
    with MvsepSimulator(audio="echo", behaviour=Behaviour(walk=INSTANT)) as service:
        service.accounts[PREMIUM_TOKEN].credits = 10_000
        for name, value in {"BASE_URL": service.api, "API_TOKEN": PREMIUM_TOKEN, "POLL_FIRST": "0.01"}.items():
            monkeypatch.setenv(f"STEMBRIDGE_MVSEP_{name}", value)
        taking_songs = stembridge("models", "--provider", "mvsep", "--json").of("model")
        others = stembridge("mvsep", "create", "--json").of("model")
        assert (len(taking_songs), len(others), len(models())) == (117 - 1, 6, 117 + 6)
        # In thirds, so that no test takes minutes on a busy machine.
        taking_songs, others = taking_songs[third::3], others[third::3]
        for model in (*taking_songs, *others):
            (tmp_path / model["id"]).mkdir()
        # One preset of them all: a command line for each would start, plan and end a hundred times.
        (home / "config.toml").write_text(write_preset(taking_songs, tmp_path), "utf-8")
        result = stembridge("run", "every", song, "--yes", "--json")
        assert (result.code, result.err) == (0, ""), result.out
        notes = {job["model"]: job["notes"] for job in result.of("job") if job["state"] == "done"}
        for model in others:
            files = ["--target", song, "--reference", other] if model["takes"] == "two songs" else []
            options = [f"--option={name}={value}" for name, value in needed(model).items()]
            made = stembridge(
                "mvsep", "create", model["id"], *files, *options, "--to", tmp_path / model["id"], "--json"
            )
            assert made.code == 0, made.out
            notes[model["id"]] = made.of("job")[-1]["notes"]
        assert service.created == len(service.jobs) == len(taking_songs) + len(others)
        for job in service.jobs:
            number = str(job.order.model["render_id"])
            check_placed(job, notes[number], tmp_path / number)
        gone = stembridge("separate", song, "--provider", "mvsep", "--model", "35")
        assert (gone.code, "switched off" in gone.err) == (2, True)


def needed(model: dict[str, Any]) -> dict[str, str]:
    """Return what the list of models says must be given."""
    options = [one for one in model["options"] if one["is_required"] and one["name"] != "reference"]
    return {one["name"]: next(iter(one["choices"]), "la la la") for one in options}


def write_preset(listed: list[dict[str, Any]], root: Path) -> str:
    lines = ["[presets.every]", "operations = ["]
    for model in listed:
        options = ", ".join(f"{name} = {value!r}" for name, value in needed(model).items())
        place = str(root / model["id"])
        lines.append(
            f"{{ kind = 'separation', provider = 'mvsep', model = {model['id']!r}, options = {{ {options} }},"
            f" to = {place!r} }},"
        )
    return "\n".join([*lines, "]", ""])


def check_placed(job: Job, notes: list[str], place: Path) -> None:
    number, made = str(job.order.model["render_id"]), job.results or []
    placed = sorted(path for path in place.rglob("[!.]*") if path.is_file())
    extra = [path for path in placed if path.suffix == ".json"]
    assert len(placed) - len(extra) == len(made), number
    # Transcriptions stand in the answer itself, beside their file.
    assert bool(extra) is (made[0].suffix == "txt"), number
    if AS_IT_CAME in notes:
        contents = {path.read_bytes() for path in placed if path not in extra}
        assert contents == {result.content.read() for result in made}, number
    if number in ("59", "104", "120"):
        assert AS_IT_CAME in notes
        (audio,) = placed
        assert soundfile.info(audio).samplerate == {"59": 48000, "104": 22050, "120": 22050}[number]
