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
from tests.simulators.mvsep.algorithms import MATCHERING, models
from tests.simulators.mvsep.walks import INSTANT


@pytest.fixture
def stembridge(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return run_here(capsys, FakePoint("mvsep", plugin))


def test_every_model_runs_and_its_results_are_placed(
    stembridge: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    song, other = write_song(tmp_path / "Song.flac", 0.3), write_song(tmp_path / "Other.flac", 0.2)
    with MvsepSimulator(audio="echo", behaviour=Behaviour(walk=INSTANT)) as service:
        service.accounts[PREMIUM_TOKEN].credits = 10_000
        for name, value in {"BASE_URL": service.api, "API_TOKEN": PREMIUM_TOKEN, "POLL_FIRST": "0.01"}.items():
            monkeypatch.setenv(f"STEMBRIDGE_MVSEP_{name}", value)
        catalogue = models()
        assert len(catalogue) == 117 + 6
        listed = [
            *stembridge("models", "--provider", "mvsep", "--json").of("model"),
            *stembridge("mvsep", "create", "--json").of("model"),
        ]
        needed = {one["id"]: list_needed(one["options"]) for one in listed}
        for number, model in catalogue.items():
            place = tmp_path / number
            place.mkdir()
            options = [word for pair in needed.get(number, ()) for word in ("--option", pair)]
            if model["audio_widget"] == "single_upload":
                words = ["separate", song, "--provider", "mvsep", "--model", number]
            else:
                files = ["--target", song, "--reference", other] if int(number) == MATCHERING else []
                words = ["mvsep", "create", number, *files]
            result = stembridge(*words, *options, "--to", place, "--yes", "--json")
            if not model["is_active"]:
                assert (result.code, "switched off" in result.out) == (2, True), number
                continue
            assert result.code == 0, (number, result.out, result.err)
            check_placed(service, result.of("job")[-1]["notes"], place, number)
        assert service.created == len(catalogue) - 1


def list_needed(options: list[dict[str, Any]]) -> list[str]:
    """Return what the lists of models say must be given."""
    needed = [option for option in options if option["is_required"] and option["name"] != "reference"]
    return [f"{option['name']}={next(iter(option['choices']), 'la la la')}" for option in needed]


def check_placed(service: MvsepSimulator, notes: list[str], place: Path, number: str) -> None:
    job = service.jobs[-1]
    placed = sorted(path for path in place.rglob("*") if path.is_file())
    made = job.results or []
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
