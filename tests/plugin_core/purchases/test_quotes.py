"""What a service would be sent, and the keys by which it is found again for ever."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plugin_core.model import Plan, Quote, Separation, Source, Tagging
from plugin_core.purchases.purchase import ALL, Purchase, PurchaseState, make_quote, purchase_key, serves

SOURCE = Source(
    path=Path("/music/Song.flac"), device=1, inode=1, size=1, mtime_ns=1, content="0", duration=1.0, frames=44100,
    channels=2, sample_rate=44100, encoding="pcm_16",
)  # fmt: skip
OPTIONS = {"add_opt1": "0", "add_opt2": "3", "output_format": "2"}
WISH = Separation(provider="mvsep", model="40", options=OPTIONS, format="flac16")
PLAN = Plan(
    operation=WISH, defaults={"add_opt1": "0"}, output="flac16", output_option="output_format", title="BS", credits=4.0
)


def plan(**fields: object) -> Plan:
    return msgspec.structs.replace(PLAN, operation=msgspec.structs.replace(WISH, **fields))


def key(plan: Plan) -> str:
    return purchase_key("mvsep", "mvsep:1", "recording-1", make_quote(plan, SOURCE))


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        (
            Quote(sent={"model": "40", "option.add_opt1": "0", "option.add_opt2": "3"}),
            "c16b4fcb34e405279d560eb1148cef06",
        ),
        (
            Quote(
                sent={"model": "40", "option.add_opt1": "0", "option.add_opt2": "3"}, defaults={"option.add_opt1": "0"}
            ),
            "e1117bf8be7f72849e1b529b41df5919",
        ),
        (Quote(dimensions=("mood",)), "d4a97342369ca3e4fe6452129d8c1900"),
    ],
    ids=["all sent", "a default", "labels"],
)
def test_keys_stay_what_they_are(quote: Quote, expected: str) -> None:
    """A changed key forgets every purchase: never change an expectation here."""
    assert purchase_key("mvsep", "mvsep:1", "recording-1", quote)[:32] == expected


@pytest.mark.parametrize(
    "same",
    [
        plan(format="wav24"),
        plan(stems=("vocals",)),
        plan(minus=("drums",), residual=True),
        plan(on_overload="scale"),
        plan(to=Path("/stems"), template="{stem}"),
        plan(options={**OPTIONS, "output_format": "5"}),
        plan(options={name: value for name, value in OPTIONS.items() if name != "add_opt1"}),
        plan(options={**OPTIONS, "add_opt9": ""}),
    ],
    ids=[
        "format",
        "stems",
        "minus",
        "on overload",
        "place",
        "the service's format",
        "a default left out",
        "an option with no value",
    ],
)
def test_what_is_derived_here_is_no_part_of_the_key(same: Plan) -> None:
    assert key(same) == key(PLAN)


@pytest.mark.parametrize("other", [plan(model="41"), plan(options={**OPTIONS, "add_opt2": "4"})])
def test_what_is_sent_is_the_key(other: Plan) -> None:
    assert key(other) != key(PLAN)


def bought(**fields: object) -> Purchase:
    quote = msgspec.structs.replace(make_quote(PLAN, SOURCE), **fields)
    return Purchase(
        id="p", key="k", state=PurchaseState.KEPT, provider="mvsep", account="a", recording="r", quote=quote,
        song=SOURCE.path, created=0.0, updated=0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("output", "encoding", "wish", "does"),
    [
        ("flac16", "pcm_16", "wav24", True),
        ("flac16", "pcm_24", "wav24", False),
        ("flac16", "pcm_24", "flac16", True),
        ("flac16", "pcm_24", "mp3", True),
        ("flac24", "pcm_24", "wav24", True),
        ("mp3", "pcm_16", "flac16", False),
        ("mp3", "lossy", "mp3", False),
    ],
)
def test_a_lossless_and_deep_enough_format_of_the_service_serves(
    output: str, encoding: str, wish: str, does: bool
) -> None:
    source = msgspec.structs.replace(SOURCE, encoding=encoding)
    wanted = make_quote(msgspec.structs.replace(plan(format=wish), output="flac24"), source)
    assert serves(bought(output=output), wanted) is does


def test_the_format_that_the_user_named_is_the_least_that_does() -> None:
    wanted = make_quote(msgspec.structs.replace(PLAN, output="flac24", is_output_wished=True), SOURCE)
    assert not serves(bought(output="flac16"), wanted)
    assert serves(bought(output="wav32f"), wanted)


def test_what_differs_though_the_key_is_equal_does_not_serve() -> None:
    """A default that the service has changed meanwhile."""
    assert not serves(bought(), make_quote(plan(options={**OPTIONS, "add_opt1": "7"}), SOURCE))
    assert serves(bought(), make_quote(plan(options={**OPTIONS, "add_opt3": "new"}), SOURCE))


@pytest.mark.parametrize(
    ("had", "wants", "does"),
    [
        ((), ("mood",), True),
        (("mood", "genre"), ("mood",), True),
        (("mood",), ("mood", "genre"), False),
        (("mood",), (), False),
    ],
)
def test_labels_serve_where_as_many_were_asked_for(had: tuple[str, ...], wants: tuple[str, ...], does: bool) -> None:
    quotes = [make_quote(Plan(operation=Tagging(provider="mediax", dimensions=one)), SOURCE) for one in (had, wants)]
    assert quotes[0].dimensions == (had and tuple(sorted(had))) or quotes[0].dimensions == (ALL,)
    purchase = msgspec.structs.replace(bought(), quote=quotes[0])
    assert serves(purchase, quotes[1]) is does
