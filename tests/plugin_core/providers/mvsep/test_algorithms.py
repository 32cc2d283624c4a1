from __future__ import annotations

import json
from typing import Any

import pytest

from plugin_core.providers.mvsep.catalogue import read_algorithms
from tests.plugin_core.providers.mvsep.fakes import algorithm, live_item, snapshot

LIVE = {
    "id": 7,
    "render_id": 48,
    "name": "MelBand  Roformer (vocals, instrumental)",
    "algorithm_group": {"name": "Vocals / Instrumental"},
    "orientation": "1",
    "price_coefficient": "2.50",
    "outputs": {"vocals": "Vocals", "other": "Other"},
    "output_stems": ["vocals", "instrumental"],
    "rating": {"average": "4.75", "total": 12},
    "algorithm_descriptions": [
        {"lang": "ru", "short_description": "нет"},
        {"lang": "en", "short_description": "<p>Good &amp; <b>fast</b></p>"},
    ],
    "algorithm_fields": [
        {
            "id": 37,
            "name": "add_opt1",
            "text": "Vocal model type",
            "options": {"0": "Kim", "4": "ver 2024.10"},
            "default_key": 4,
            "server_key": "model_type",
            "input_type": "select",
            "required": 1,
            "price_rules": [{"option_key": 4, "mode": "multiplier", "value": "1.5000"}],
            "conditions": [{"depends_on_field_id": "25", "operator": "IN", "value_json": '["171"]', "action": "show"}],
        }
    ],
}


def test_reads_the_service_form() -> None:
    (one,) = read_algorithms([live_item(LIVE)])
    assert (one.id, one.name) == ("48", "MelBand Roformer (vocals, instrumental)")
    assert (one.group, one.orientation, one.coefficient) == ("Vocals / Instrumental", 1, "2.50")
    assert one.outputs == {"vocals": "Vocals", "other": "Other"}
    assert one.output_stems == ("vocals", "instrumental")
    assert (one.rating, one.summary, one.short_name) == (4.75, "Good & fast", "MelBand Roformer")
    (field,) = one.fields
    assert (field.name, field.default, field.is_required) == ("add_opt1", "4", True)
    assert field.options == {"0": "Kim", "4": "ver 2024.10"}
    assert (field.price_rules[0].option, field.price_rules[0].value) == ("4", "1.5000")
    assert (field.conditions[0].field_id, field.conditions[0].operator) == (25, "in")
    assert field.conditions[0].values == ("171",)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param('{"0": "A", "1": "B"}', {"0": "A", "1": "B"}, id="json text"),
        pytest.param({"a": "A"}, {"a": "A"}, id="object"),
        pytest.param('["A", "B"]', {"0": "A", "1": "B"}, id="php list"),
        pytest.param("{}", {}, id="free text"),
        pytest.param(None, {}, id="null"),
        pytest.param("nonsense", {}, id="text"),
        pytest.param(7, {}, id="number"),
    ],
)
def test_options_come_in_many_forms(raw: object, expected: dict[str, str]) -> None:
    (one,) = read_algorithms(
        [{"render_id": 1, "name": "n", "algorithm_fields": [{"name": "add_opt1", "options": raw}]}]
    )
    assert one.fields[0].options == expected


def test_snapshot_is_read_whole() -> None:
    assert len(snapshot()) == 117
    assert sum(len(one.fields) for one in snapshot()) == 105
    assert algorithm(30).coefficient == "6"
    assert not algorithm(35).is_active
    alone = [one.id for one in snapshot() if [field.name for field in one.fields] == ["add_opt2"]]
    assert len(alone) == 16


@pytest.mark.parametrize(
    ("values", "takes"),
    [
        pytest.param({"audio_widget": "single_upload"}, True, id="song"),
        pytest.param({"audio_widget": None}, True, id="not said"),
        pytest.param({"audio_widget": "no_upload"}, False, id="none"),
        pytest.param({"audio_upload_disabled": 1}, False, id="disabled"),
        pytest.param({"audio_widget": "matchering_upload"}, False, id="two"),
    ],
)
def test_knows_what_takes_a_song(values: dict[str, Any], takes: bool) -> None:
    (one,) = read_algorithms({"data": [{"render_id": 1, "name": "n", **values}]})
    assert one.takes_song is takes


@pytest.mark.parametrize("odd", [None, "x", [1, None, {}], {"render_id": 1}, [{"render_id": None}], "[]"])
def test_oddities_give_nothing(odd: object) -> None:
    assert read_algorithms(json.loads(json.dumps(odd))) == ()


@pytest.mark.parametrize("rating", [{"average": 0, "total": 0}, None, {"average": "x", "total": 3}, [], "4"])
def test_no_rating(rating: object) -> None:
    assert read_algorithms([{"render_id": 1, "rating": rating}])[0].rating is None
