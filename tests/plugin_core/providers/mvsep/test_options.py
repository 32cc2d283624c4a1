from __future__ import annotations

import msgspec
import pytest

from plugin_core.errors import UsageError
from plugin_core.providers.mvsep.catalogue import Algorithm, Condition, OptionField
from plugin_core.providers.mvsep.options import find_value, read_demo, resolve_options, visible_fields
from tests.plugin_core.providers.mvsep.fakes import algorithm, snapshot


@pytest.mark.parametrize(
    ("wished", "expected"),
    [
        pytest.param({}, {"add_opt1": "81", "add_opt2": "2"}, id="defaults"),
        pytest.param({"add_opt1": "5"}, {"add_opt1": "5", "add_opt2": "2"}, id="by field and key"),
        pytest.param({"vocal MODEL  type": "5"}, {"add_opt1": "5", "add_opt2": "2"}, id="by label"),
        pytest.param({"model_type": "viperx"}, {"add_opt1": "4", "add_opt2": "2"}, id="by server key and beginning"),
        pytest.param({"Overlap": "87.5%"}, {"add_opt1": "81", "add_opt2": "8"}, id="by text"),
        pytest.param(
            {"add_opt1": "124 bands (SDR vocals"},
            {"add_opt1": "171", "add_opt2": "2", "add_opt3": "0"},
            id="another field appears",
        ),
        pytest.param({"add_opt2": "8", "Overlap": "87.5%"}, {"add_opt1": "81", "add_opt2": "8"}, id="twice the same"),
        pytest.param({"output_format": "5", "is_demo": "1"}, {"add_opt1": "81", "add_opt2": "2"}, id="ours"),
    ],
)
def test_options_of_one_model(wished: dict[str, str], expected: dict[str, str]) -> None:
    assert resolve_options(algorithm(40), wished) == expected
    assert resolve_options(algorithm(40), expected) == expected


def test_condition_that_hides() -> None:
    assert resolve_options(algorithm(123), {}) == {"add_opt1": "163"}
    assert resolve_options(algorithm(123), {"add_opt1": "158"}) == {"add_opt1": "158", "add_opt2": "2"}


@pytest.mark.parametrize("number", [66, 69, 70, 71, 73, 75, 77, 78, 79, 81, 82, 87, 109, 110, 112, 116])
def test_fields_are_named_not_counted(number: int) -> None:
    assert list(resolve_options(algorithm(number), {})) == ["add_opt2"]


def test_fourth_field() -> None:
    resolved = resolve_options(algorithm(120), {"Text prompt": "Hello, you", "Language": "german"})
    assert resolved == {"add_opt1": "Hello, you", "add_opt3": "german", "add_opt4": "0"}


@pytest.mark.parametrize(
    ("number", "wished", "says"),
    [
        pytest.param(40, {"Vocal model typ": "5"}, "did you mean 'vocal model type'", id="misspelt option"),
        pytest.param(40, {"x": "5"}, "'Overlap' (add_opt2)", id="unknown option"),
        pytest.param(63, {"add_opt1": "5"}, "none of its own", id="model without options"),
        pytest.param(40, {"add_opt1": "11"}, "no value '11'", id="unknown value"),
        pytest.param(40, {"add_opt1": "17.25"}, "no value", id="number within a text"),
        pytest.param(40, {"add_opt1": "ver"}, "means several values", id="ambiguous value"),
        pytest.param(40, {"add_opt1": " "}, "no value", id="blank value"),
        pytest.param(40, {"add_opt3": "1"}, "change 'Vocal model type' (add_opt1)", id="hidden option"),
        pytest.param(40, {"add_opt2": "8", "overlap": "2"}, "given twice", id="contradiction"),
        pytest.param(17, {}, "needs option 'Model Type' (add_opt1)", id="required without default"),
        pytest.param(120, {}, '--option "Text prompt=..."', id="required text"),
        pytest.param(120, {"Text prompt": " "}, "is empty", id="empty text"),
    ],
)
def test_wrong_options_are_refused(number: int, wished: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_options(algorithm(number), wished)
    assert says in str(caught.value)


def test_every_value_of_every_model_is_known_by_its_own_text() -> None:
    for one in snapshot():
        for field in one.fields:
            texts = list(field.options.values())
            for key, text in field.options.items():
                assert find_value(one, field, key) == key
                if texts.count(text) == 1 and text not in field.options:
                    assert find_value(one, field, text.upper()) == key


def _field(number: int, *conditions: Condition) -> OptionField:
    return msgspec.structs.replace(algorithm(40).fields[0], id=number, name=f"add_opt{number}", conditions=conditions)


def _ask(parent: int, action: str = "show", operator: str = "in") -> Condition:
    return Condition(field_id=parent, operator=operator, values=("5",), action=action)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        pytest.param([_field(1), _field(2, _ask(1))], [1, 2], id="shown"),
        pytest.param([_field(1), _field(2, _ask(1, "hide"))], [1], id="hidden"),
        pytest.param([_field(1), _field(2, _ask(1, "hide")), _field(3, _ask(2))], [1], id="hidden parent has no value"),
        pytest.param([_field(1), _field(2, _ask(1, operator="not_in"))], [1], id="not in"),
        pytest.param([_field(1), _field(2, _ask(1, operator="odd"))], [1, 2], id="unknown operator"),
        pytest.param([_field(1), _field(2, _ask(9))], [1, 2], id="unknown parent"),
        pytest.param([_field(1, _ask(2, "hide")), _field(2, _ask(1, "hide"))], [1, 2], id="ring"),
    ],
)
def test_conditions(fields: list[OptionField], shown: list[int]) -> None:
    one: Algorithm = msgspec.structs.replace(algorithm(40), fields=tuple(fields))
    values = {field.name: "5" for field in fields}
    assert [field.id for field in visible_fields(one, values)] == shown


@pytest.mark.parametrize(("text", "expected"), [("0", "0"), ("1", "1"), ("yes", "1"), ("OFF", "0")])
def test_demo(text: str, expected: str) -> None:
    assert read_demo({"is_demo": text}) == expected
    assert read_demo({}) == "0"


def test_odd_demo_is_refused() -> None:
    with pytest.raises(UsageError, match="neither 0 nor 1"):
        read_demo({"is_demo": "maybe"})
