from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plugin_core.errors import RefusedError, StembridgeError, UsageError
from plugin_core.model import Plan, Separation
from plugin_core.operations.plans import check_plan
from plugin_core.providers.mvsep.account_calls import User
from plugin_core.providers.mvsep.plan import choose_output, estimate_credits, final_format, make_plan
from tests.plugin_core.providers.mvsep.fakes import FREE, PREMIUM, algorithm, make_source
from tests.plugin_core.providers.plans import allow


@pytest.mark.parametrize(
    ("number", "options", "seconds", "credits"),
    [
        pytest.param(28, {}, 380.0, 25, id="multiplied before rounding"),
        pytest.param(63, {}, 380.0, 6, id="one a minute"),
        pytest.param(63, {}, 5.0, 1, id="at least one"),
        pytest.param(63, {}, 119.999, 1, id="rounded down"),
        pytest.param(63, {}, 120.0, 2, id="whole minutes"),
        pytest.param(40, {"add_opt2": "8"}, 380.0, 12, id="overlap doubles"),
        pytest.param(48, {"add_opt2": "8"}, 380.0, 9, id="overlap one and a half"),
        pytest.param(40, {"add_opt1": "171", "add_opt2": "8"}, 60.0, 2, id="rule of one"),
        pytest.param(26, {}, 60.0, 2, id="ensemble"),
    ],
)
def test_credits(number: int, options: dict[str, str], seconds: float, credits: int) -> None:  # noqa: A002
    assert estimate_credits(algorithm(number), options, seconds) == credits


@pytest.mark.parametrize(
    ("encoding", "final", "is_premium", "key", "is_noted"),
    [
        ("pcm_16", "", True, "2", False),
        ("pcm_u8", "", True, "2", False),
        ("lossy", "", True, "2", False),
        ("pcm_24", "", True, "5", False),
        ("float", "", True, "5", False),
        ("pcm_24", "", False, "2", True),
        ("pcm_24", "flac16", True, "2", False),
        ("pcm_24", "mp3", True, "2", False),
        ("pcm_16", "wav24", True, "5", False),
        ("pcm_16", "wav32f", False, "2", True),
    ],
)
def test_depth_is_kept(encoding: str, final: str, is_premium: bool, key: str, is_noted: bool) -> None:
    output, note = choose_output("", make_source(encoding=encoding), final, is_premium=is_premium)
    assert (output.key, bool(note)) == (key, is_noted)


@pytest.mark.parametrize(
    ("word", "key", "final"),
    [
        ("0", "0", "mp3"),
        ("mp3", "0", "mp3"),
        ("wav16", "1", "wav16"),
        ("3", "3", "m4a"),
        ("4", "4", "wav32f"),
        ("FLAC24 ", "5", "flac24"),
    ],
)
def test_wished(word: str, key: str, final: str) -> None:
    output, note = choose_output(word, make_source(), "", is_premium=True)
    assert (output.key, note, final_format(output, make_source())) == (key, "", final)


@pytest.mark.parametrize("word", ["6", "ogg", "-1"])
def test_unknown_formats(word: str) -> None:
    with pytest.raises(UsageError, match="output_format"):
        choose_output(word, make_source(), "", is_premium=True)


def test_rate_that_flac_cannot_say() -> None:
    source = msgspec.structs.replace(make_source(encoding="pcm_24"), sample_rate=88_203)
    for is_premium, final in ((True, "wav24"), (False, "wav16")):
        output, _ = choose_output("", source, "", is_premium=is_premium)
        assert final_format(output, source) == final


def plan(number: int, user: User = FREE, *, duration: float = 240.0, encoding: str = "pcm_16", **wish: Any) -> Plan:
    wished = msgspec.structs.replace(Separation(provider="mvsep"), **wish)
    return make_plan(algorithm(number), make_source(duration=duration, encoding=encoding), wished, user)


def operation_of(made: Plan) -> Separation:
    assert isinstance(made.operation, Separation)
    return made.operation


def credits_left(number: float) -> User:
    return msgspec.structs.replace(PREMIUM, premium_minutes=number)


def test_everything_is_filled_in() -> None:
    made = plan(40, PREMIUM, encoding="pcm_24")
    wish = operation_of(made)
    assert (wish.model, wish.format) == ("40", "flac24")
    assert wish.options == {"add_opt1": "81", "add_opt2": "2", "output_format": "5"}
    assert (made.stems, made.credits, made.notes) == (("vocals", "instrumental"), 4.0, ())
    again = make_plan(algorithm(40), make_source(encoding="pcm_24"), wish, PREMIUM)
    assert operation_of(again) == wish


def test_free_account_pays_nothing_and_gets_16_bits() -> None:
    made = plan(63, encoding="pcm_24")
    assert made.credits == 0.0
    assert operation_of(made).options == {"output_format": "2"}
    assert operation_of(made).format == "flac16"
    assert "16 bits" in " ".join(made.notes)


def test_final_format_is_independent() -> None:
    made = plan(63, format="mp3")
    assert (operation_of(made).format, operation_of(made).options["output_format"]) == ("mp3", "2")
    made = plan(63, format="flac")
    assert operation_of(check_plan(made, make_source())).format == "flac16"


def test_results_that_are_no_stems_come_as_they_are() -> None:
    for number in (39, 59, 80, 120):
        options = {"add_opt1": "text", "add_opt2": "text"} if number == 120 else {}
        assert operation_of(plan(number, options=options)).as_is
    assert "the results are restored, no stems of the song: placed as they come" in plan(59).notes
    assert not operation_of(plan(63)).as_is
    assert operation_of(plan(63, as_is=True)).as_is


def test_nothing_is_converted_or_subtracted_where_results_come_as_they_are() -> None:
    assert operation_of(plan(59, format="mp3")).options["output_format"] == "0"
    assert operation_of(plan(63, format="mp3")).options["output_format"] == "2"
    assert operation_of(plan(59, format="wav24")).options["output_format"] == "2"
    with pytest.raises(UsageError, match="nothing can be subtracted"):
        check_plan(plan(59, residual=True), make_source())


def test_demo_is_said() -> None:
    made = plan(63, options={"is_demo": "yes"})
    assert operation_of(made).options == {"output_format": "2", "is_demo": "1"}
    assert any("everybody" in note for note in made.notes)
    assert "is_demo" not in operation_of(plan(63, options={"is_demo": "0"})).options


@pytest.mark.parametrize(
    ("number", "user", "wish", "kind", "says"),
    [
        pytest.param(26, FREE, {}, RefusedError, "premium accounts only", id="premium model"),
        pytest.param(26, credits_left(0), {}, RefusedError, "premium accounts only", id="no credits at all"),
        pytest.param(30, credits_left(23), {}, RefusedError, "takes 24 credits", id="too few credits"),
        pytest.param(63, FREE, {"options": {"output_format": "5"}}, RefusedError, "premium", id="premium format"),
        pytest.param(63, FREE, {"options": {"output_format": "wav32f"}}, RefusedError, "premium", id="by its name"),
        pytest.param(63, credits_left(3), {"options": {"output_format": "4"}}, RefusedError, "premium", id="both"),
        pytest.param(63, FREE, {"options": {"add_opt1": "5"}}, UsageError, "no option", id="option"),
        pytest.param(63, FREE, {"format": "flc"}, UsageError, "no format", id="format"),
    ],
)
def test_refused_before_any_upload(
    number: int, user: User, wish: dict[str, Any], kind: type[StembridgeError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        allow(plan(number, user, **wish))


@pytest.mark.parametrize(
    ("user", "duration", "says"),
    [
        pytest.param(credits_left(3), 240.0, "3 are left", id="few credits"),
        pytest.param(credits_left(0), 240.0, "no credits are left", id="no credits"),
        pytest.param(FREE, 601.0, "10 minutes", id="long for free"),
        pytest.param(credits_left(1000), 6001.0, "100 minutes", id="long for premium"),
        pytest.param(FREE, 1800.0, "100 MB", id="large for free"),
    ],
)
def test_limits_only_warn(user: User, duration: float, says: str) -> None:
    assert says in " ".join(plan(63, user, duration=duration).notes)


@pytest.mark.parametrize("user", [FREE, PREMIUM, msgspec.structs.replace(PREMIUM, premium_minutes=None)])
def test_an_ordinary_song_needs_no_words(user: User) -> None:
    assert plan(63, user).notes == ()


def test_registered_models_are_for_everybody_with_a_token() -> None:
    assert plan(20).stems[:4] == ("vocals", "drums", "bass", "other")


@pytest.mark.parametrize(
    ("user", "wish", "output", "final", "says"),
    [
        pytest.param(PREMIUM, {}, "4", "wav32f", "", id="premium"),
        pytest.param(PREMIUM, {"format": "mp3"}, "4", "mp3", "", id="another final format"),
        pytest.param(FREE, {}, "2", "flac16", "clipped: MVSEP gives floats to premium accounts only", id="free"),
        pytest.param(PREMIUM, {"options": {"output_format": "5"}}, "5", "flac24", "flac24 cannot hold it", id="wished"),
        pytest.param(PREMIUM, {"options": {"output_format": "4"}}, "4", "wav32f", "", id="float wished"),
    ],
)
def test_floats_over_full_scale_ask_for_a_format_that_holds_them(
    user: User, wish: dict[str, Any], output: str, final: str, says: str
) -> None:
    wished = msgspec.structs.replace(Separation(provider="mvsep"), **wish)
    made = make_plan(algorithm(63), make_source(encoding="float"), wished, user, is_over=True)
    assert (operation_of(made).options["output_format"], operation_of(made).format) == (output, final)
    told = [note for note in made.notes if "comes back clipped" in note]
    assert (says in " ".join(told)) if says else not told
