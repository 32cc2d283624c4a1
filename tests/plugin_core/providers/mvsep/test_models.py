from __future__ import annotations

import pytest

from plugin_core.errors import UsageError
from plugin_core.providers.mvsep.catalogue import read_algorithms
from plugin_core.providers.mvsep.models import (
    MEANS,
    describe_model,
    find_algorithm,
    list_models,
    require_input,
    stem_of,
    stems_of,
    stems_of_files,
)
from plugin_core.stem_names import canonical
from tests.plugin_core.providers.mvsep.fakes import algorithm, snapshot


@pytest.mark.parametrize(
    ("number", "label", "stem"),
    [
        (40, "Vocals", "vocals"),
        (40, "Other", "instrumental"),
        (40, "other", "instrumental"),
        (40, "Instrum", "instrumental"),
        (43, "OTHER", "instrumental"),
        (63, "Other", "other"),
        (63, "Instrum", "instrumental"),
        (47, "Other", "noise"),
        (34, "Other", "other"),
        (38, "Other", "no-drums"),
        (49, "Vocals_Lead", "lead-vocals"),
        (49, "Vocals_Back", "back-vocals"),
        (49, "back-instrum", "back-instrumental"),
        (12, "Instrum", "back-instrumental"),
        (37, "HH", "hi-hat"),
        (56, "Sfx", "sfx"),
        (57, "Male", "male-vocals"),
        (30, "drums-kick", "kick"),
        (14, "invert", "residual"),
        (40, "Vocals fullness", "vocals-fullness"),
        (40, "../../etc", "etc"),
        (129, "Vibraphone", "vibraphone"),
    ],
)
def test_labels(number: int, label: str, stem: str) -> None:
    assert stem_of(algorithm(number), label) == stem


@pytest.mark.parametrize(
    ("number", "name", "stem"),
    [
        (48, "song_melroformer_mt_11_vocals.flac", "vocals"),
        (48, "song_melroformer_mt_11_other.flac", "instrumental"),
        (63, "track_bs6stem_mt_0_bass.mp3", "bass"),
        (49, "my-song_karaoke_vocals_lead.wav", "lead-vocals"),
        (49, "my-song_karaoke_vocals-lead.wav", "lead-vocals"),
        (129, "song_model_vibraphone.wav", "vibraphone"),
        (40, "", "part"),
    ],
)
def test_missing_labels_are_read_off_the_name(number: int, name: str, stem: str) -> None:
    assert stem_of(algorithm(number), "", name) == stem


def test_duplicates_are_kept_apart() -> None:
    files = [("Vocals", ""), ("vocals", ""), ("Other", ""), ("Instrum", "")]
    assert stems_of_files(algorithm(40), files) == ["vocals", "vocals-2", "instrumental", "instrumental-2"]


def test_unknown_model() -> None:
    assert stem_of(None, "Instrum") == "instrumental"
    assert stem_of(None, "", "a_vocals.wav") == "vocals"


def test_every_name_is_canonical_already() -> None:
    for one in snapshot():
        assert [canonical(stem) for stem in stems_of(one)] == list(stems_of(one)), one.name
    assert [canonical(stem) for stem in MEANS.values()] == list(MEANS.values())


def test_every_output_comes_back_under_the_name_that_was_planned() -> None:
    for one in snapshot():
        for key, title in one.outputs.items():
            assert stem_of(one, key) in stems_of(one), (one.name, key)
            assert stem_of(one, title) in stems_of(one), (one.name, title)


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
    assert find_algorithm(algorithms, "62").name == "Stable Audio"
    with pytest.raises(UsageError, match=f"{says}.*mvsep create 62"):
        require_input(algorithms[0], has_song=True, has_reference=False)
    require_input(algorithms[0], has_song=widget != "no_upload", has_reference=widget != "no_upload")
    with pytest.raises(UsageError, match=r"one song.*stembridge separate SONG"):
        require_input(algorithm(40), has_song=False, has_reference=False)


def test_list() -> None:
    models = {model.id: model for model in list_models(snapshot())}
    assert len(models) == 116
    assert "35" not in models
    assert models["63"].stems == ("vocals", "bass", "drums", "guitar", "piano", "other", "instrumental")
    assert (models["30"].access, models["30"].credits_per_minute) == ("premium", 6.0)
    assert (models["20"].access, models["40"].access) == ("registered", "everyone")
    assert models["40"].summary == algorithm(40).group


def test_a_model_says_what_its_results_are_and_what_can_be_chosen() -> None:
    models = {model.id: model for model in list_models(snapshot())}
    kinds = {
        kind: [one.id for one in models.values() if one.results == kind] for kind in ("", "speech", "midi", "text")
    }
    assert (kinds["speech"], kinds["midi"], kinds["text"]) == (
        ["103", "120"],
        ["80", "113", "114", "127"],
        ["39", "64"],
    )
    assert len(kinds[""]) == 116 - 11
    newer = read_algorithms([{"render_id": 999, "name": "New", "group": "ASR and TTS"}])
    assert describe_model(newer[0]).results == "speech"
    options = {option.name: option for option in models["40"].options}
    assert (options["add_opt1"].default, options["add_opt2"].multipliers) == ("81", {"8": "2"})
    assert options["add_opt3"].when == "only where 'Vocal model type' (add_opt1) is 171"
    assert {option.name: option.when for option in models["123"].options}["add_opt2"].startswith(
        "not where 'Model type'"
    )
    assert [option.is_required for option in models["120"].options[:3]] == [True, False, False]
    assert list(options["output_format"].choices) == ["0", "1", "2", "3", "4", "5"]
