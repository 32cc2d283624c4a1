from __future__ import annotations

import pytest

from plugin_core.errors import UsageError
from plugin_core.providers.mvsep.algorithms import read_algorithms
from plugin_core.providers.mvsep.models import find_algorithm, list_models
from tests.plugin_core.providers.mvsep.fakes import algorithm, snapshot


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("63", 63),
        ("BS Roformer SW", 63),
        ("bs  roformer sw", 63),
        ("BS Roformer", 40),
        ("BS Roformer (vocals, instrumental)", 40),
        ("spleeter", 0),
        ("0", 0),
    ],
)
def test_finds_by_id_and_name(word: str, number: int) -> None:
    assert find_algorithm(snapshot(), word).id == str(number)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        pytest.param("BS Rofomer SW", "did you mean 63", id="misspelt"),
        pytest.param("karaoke", "49 (MVSep Karaoke", id="part of a name"),
        pytest.param("zzz", "no model 'zzz'", id="nothing near"),
        pytest.param("11", "no model '11'", id="unknown number"),
        pytest.param("Ensemble", "choose by id: 26", id="several"),
        pytest.param("35", "switched off", id="inactive"),
        pytest.param("", "no model ''", id="empty"),
    ],
)
def test_misses_are_explained(word: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_algorithm(snapshot(), word)
    assert says in str(caught.value)


@pytest.mark.parametrize(("widget", "says"), [("no_upload", "takes no song"), ("matchering_upload", "takes two songs")])
def test_models_without_a_song(widget: str, says: str) -> None:
    algorithms = read_algorithms([{"render_id": 62, "name": "Stable Audio", "audio_widget": widget}])
    assert list_models(algorithms) == []
    with pytest.raises(UsageError, match=says):
        find_algorithm(algorithms, "62")


def test_list() -> None:
    models = {model.id: model for model in list_models(snapshot())}
    assert len(models) == 116
    assert "35" not in models
    assert models["63"].stems == ("vocals", "bass", "drums", "guitar", "piano", "other", "instrumental")
    assert (models["30"].access, models["30"].credits_per_minute) == ("premium", 6.0)
    assert (models["20"].access, models["40"].access) == ("registered", "everyone")
    assert models["40"].summary == algorithm(40).group
