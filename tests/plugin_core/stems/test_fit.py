from __future__ import annotations

from collections.abc import Sequence

import pytest

from plugin_core.audio.formats import FLAC16, FLAC24, M4A, W64_24, W64_32F, WAV32F, AudioFormat
from plugin_core.audio.overload import Fit, choose_fit, read_gain, show_gain, widest_format
from plugin_core.model import OnOverload
from tests.plugin_core.providers.mvsep.fakes import make_source

SOURCE = make_source()


def fit(chosen: AudioFormat, on_overload: OnOverload, *peaks: float) -> Fit:
    return choose_fit(chosen, on_overload, SOURCE, lambda: peaks)


def never() -> Sequence[float]:
    raise AssertionError("there is nothing to measure")


def test_nothing_is_measured_where_nothing_depends_on_it() -> None:
    assert choose_fit(FLAC16, "refuse", SOURCE, never) == Fit(FLAC16)
    assert choose_fit(WAV32F, "scale", SOURCE, never) == Fit(WAV32F)


@pytest.mark.parametrize("on_overload", ["scale", "float"])
def test_what_fits_is_left_alone(on_overload: OnOverload) -> None:
    assert fit(M4A, on_overload, 0.3, 1.0) == Fit(M4A)


def test_one_gain_in_tenths_of_a_decibel_holds_the_loudest() -> None:
    for peak in (1.0001, 1.01, 2.0, 6.3):
        made = fit(FLAC24, "scale", 0.5, peak)
        assert 0.98 < peak * made.gain < 1 - 2.0**-13
        assert read_gain(show_gain(made.gain)) == pytest.approx(made.gain, rel=1e-12)
    assert fit(FLAC24, "scale", 2.0).notes == ("all stems are 6.1 dB quieter than the song, so that flac24 holds them",)


@pytest.mark.parametrize(("chosen", "made"), [(FLAC24, WAV32F), (M4A, WAV32F), (W64_24, W64_32F)])
def test_floats_hold_it_in_a_file_as_like_as_can_be(chosen: AudioFormat, made: AudioFormat) -> None:
    assert (fit(chosen, "float", 2.0).format, fit(chosen, "float", 2.0).gain) == (made, 1.0)
    assert widest_format(chosen, "float", SOURCE) == made
    assert widest_format(chosen, "scale", SOURCE) == chosen


@pytest.mark.parametrize("text", ["", "6.0", "-x", "-1e9", "-1234.5", "nan"])
def test_a_gain_that_is_none_changes_nothing(text: str) -> None:
    assert read_gain(text) == 1.0
