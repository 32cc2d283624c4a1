"""Which finished stems another form of the same purchase can be made of."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plugin_core.model import Job, Quote, Separation, Stem
from plugin_core.operations.reuse import derivable
from tests.plugin_core.jobs.fakes import make_job

LOSSLESS = Quote(sent={"model": "1"}, output="flac16")


def make(quote: Quote | None, **wish: object) -> Job:
    operation = Separation(provider="fake", model="1", **wish)  # type: ignore[arg-type]
    return msgspec.structs.replace(make_job(), operation=operation, quote=quote)


@pytest.mark.parametrize(
    ("bought", "is_derivable"),
    [
        (LOSSLESS, True),
        (Quote(sent={"model": "1"}, output="wav32f"), True),
        (Quote(sent={"model": "1"}, output="mp3"), False),
        (Quote(sent={"model": "1", "option.add_opt1": "2"}, output="flac16"), False),
        (None, False),
    ],
    ids=["equal", "deeper", "lossy", "another default", "unknown"],
)
def test_stems_are_no_better_than_what_was_bought(bought: Quote | None, is_derivable: bool) -> None:
    """A lossy purchase that was written as FLAC would pass for a lossless one."""
    stem = Stem(name="vocals", label="Vocals", path=Path("/music/Song - Vocals.flac"), size=1, sha256="0")
    twin = msgspec.structs.replace(make(bought, format="flac16"), stems=(stem,))
    quote = msgspec.structs.replace(LOSSLESS, sent={"model": "1", "option.add_opt1": "1"})
    job = make(quote, format="wav16", stems=("vocals",))
    assert bool(derivable(job, twin)) is is_derivable


@pytest.mark.parametrize(
    ("had", "wish", "is_derivable"),
    [
        ({}, {"stems": ("vocals", "instrumental")}, True),
        ({"stems": ("vocals",)}, {"stems": ("instrumental",)}, True),
        ({"stems": ("drums",)}, {"stems": ("instrumental",)}, False),
        ({"stems": ("vocals",)}, {"minus": ("instrumental",)}, False),
    ],
    ids=["all stems", "the vocals", "the drums", "no part of its own"],
)
def test_an_instrumental_is_made_of_vocals(had: dict[str, object], wish: dict[str, object], is_derivable: bool) -> None:
    names = had.get("stems", ("vocals", "drums", "bass", "other"))
    assert isinstance(names, tuple)
    stems = [Stem(name=name, label=name, path=Path(f"/music/{name}.flac"), size=1, sha256="0") for name in names]
    twin = msgspec.structs.replace(make(LOSSLESS, format="flac16", **had), stems=tuple(stems))
    assert bool(derivable(make(LOSSLESS, format="flac16", **wish), twin)) is is_derivable


def test_scaled_stems_are_parts_of_their_own_level() -> None:
    stem = Stem(name="vocals", label="Vocals", path=Path("/music/Song - Vocals.flac"), size=1, sha256="0", gain=0.5)
    twin = msgspec.structs.replace(make(LOSSLESS, format="flac16", on_overload="scale"), stems=(stem,))
    (part,) = derivable(make(LOSSLESS, format="wav16", stems=("vocals",)), twin)
    assert part.gain == 0.5


def test_stems_that_were_written_as_floats_are_audio() -> None:
    stem = Stem(name="vocals", label="Vocals", path=Path("/music/Song - Vocals.wav"), size=1, sha256="0")
    twin = msgspec.structs.replace(make(LOSSLESS, format="flac16", on_overload="float"), stems=(stem,))
    (part,) = derivable(make(LOSSLESS, format="wav16", stems=("vocals",)), twin)
    assert part.is_audio
