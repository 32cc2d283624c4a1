from __future__ import annotations

import msgspec

from plugin_core.stems.alignment import Alignment, HeardPart, align, is_unrelated
from plugin_core.stems.lag_meter import NEAR, FoundLag

SHARP = tuple(float(lag == 0) for lag in range(-NEAR, NEAR + 1))
BROAD = tuple(1 - 0.02 * abs(lag) for lag in range(-NEAR, NEAR + 1))


def found(lag: int, confidence: float = 10.0, **more: object) -> FoundLag:
    return msgspec.convert({"lag": lag, "confidence": confidence, "relation": 0.5, "curve": SHARP, **more}, FoundLag)


def heard(*ones: FoundLag, kin: tuple[object, ...] = ("FLAC", 1000)) -> list[HeardPart]:
    return [HeardPart(title, kin, one) for title, one in zip(("Vocals", "Drums", "Bass", "Other"), ones, strict=False)]


def test_one_late_stem_is_moved_alone() -> None:
    assert align(heard(found(24), found(0), found(0), found(0))) == Alignment(
        (24, 0, 0, 0), ("Vocals: removed an offset of 24 samples against the source",)
    )


def test_all_late_stems_are_said_once() -> None:
    assert align(heard(*[found(-1105)] * 4)) == Alignment(
        (-1105,) * 4, ("removed an offset of -1105 samples against the source",)
    )


def test_a_part_that_cannot_be_measured_goes_with_its_kin() -> None:
    weak = found(300, 1.2)
    assert align(heard(found(1105), found(1105), weak)).lags == (1105, 1105, 1105)
    assert align(heard(found(0), found(0), weak)) == Alignment((0, 0, 0))


def test_no_lag_is_lent_where_kin_disagree_or_there_is_none() -> None:
    weak = found(300, 1.2)
    note = "Bass: its offset against the source could not be measured, it lies as it came"
    assert align(heard(found(24), found(0), weak)) == Alignment(
        (24, 0, 0), ("Vocals: removed an offset of 24 samples against the source", note)
    )
    strangers = [*heard(found(1105), found(1105)), HeardPart("Bass", ("MP3", 2105), weak)]
    assert align(strangers).lags == (1105, 1105, 0)
    assert note in align(strangers).notes


def test_no_lag_is_lent_to_a_part_that_hints_at_another() -> None:
    assert align(heard(found(0), found(0), found(24, 2.5))) == Alignment(
        (0, 0, 0), ("Bass: its offset against the source could not be measured, it lies as it came",)
    )
    assert align(heard(found(0), found(0), found(2, 2.5, curve=BROAD))) == Alignment((0, 0, 0))
    weak = found(24, 1.2, is_hint=True)
    assert align(heard(found(0), found(0), weak)).notes == align(heard(found(0), found(0), found(24, 2.5))).notes
    assert align(heard(found(24), found(24), weak)).lags == (24, 24, 24)


def test_the_threshold_of_confidence() -> None:
    assert align(heard(found(24, 3.0), found(0))).lags == (24, 0)
    assert align(heard(found(24, 2.9), found(0))).lags == (0, 0)


def test_a_part_that_fits_as_nowhere_else_is_believed() -> None:
    assert align(heard(found(1, 1.2, is_fitting=True), found(0))).lags == (1, 0)
    assert align(heard(found(1, 1.2, is_fitting=True, drift=60.0), found(0))).lags == (0, 0)


def test_nothing_could_be_measured_is_said() -> None:
    assert align(heard(found(24, 1.2), found(7, 2.9))) == Alignment(
        (0, 0), ("no offset against the source could be measured: the stems lie as they came",)
    )


def test_silence_is_no_reason_for_a_note() -> None:
    assert align(heard(FoundLag(), found(0))) == Alignment((0, 0))
    assert align(heard(FoundLag(), FoundLag())) == Alignment((0, 0))


def test_an_inverted_stem_is_said_and_left() -> None:
    assert align(heard(found(0, is_inverted=True), found(0))) == Alignment(
        (0, 0), ("Vocals: its polarity is inverted against the source, left so",)
    )


def test_drift_is_said_and_not_moved() -> None:
    assert align(heard(found(0), found(60, 1.5, drift=120.4), found(-60, 4.0, drift=-119.6))) == Alignment(
        (0, 0, 0),
        (
            "Drums: drifts against the source, in the end 120 samples late, left so",
            "Bass: drifts against the source, in the end 120 samples early, left so",
        ),
    )


def test_only_several_parts_without_any_relation_are_of_another_song() -> None:
    stranger = found(0, 1.1, relation=0.01)
    assert is_unrelated(heard(stranger, stranger))
    assert not is_unrelated(heard(stranger, found(0, 1.1, relation=0.02)))
    assert not is_unrelated(heard(stranger))
    assert not is_unrelated(heard(stranger, FoundLag()))
