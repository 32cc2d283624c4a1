"""Where a part lies, measured on songs of minutes: noise, music made here, and real music where it is at hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soxr

from plugin_core.stems import lag_meter
from plugin_core.stems.alignment import UNRELATED
from plugin_core.stems.lag_meter import GLANCE, WINDOW, FoundLag, LagMeter, Passage, take_away
from tests.audio_files import make_noise, make_stems, read_samples

Mono = npt.NDArray[np.float32]

Stretch = Callable[[int, int], Mono]
"""Some samples from one on."""

LOOP = 15
"""Seconds that songs repeat, so that minutes of them take no memory."""
MINUTES = 2.5
OFFSETS = (1, 24, 1105, 4096, -24, -1, -4096, -1105)
AUDIO = Path(__file__).parents[4] / "shared" / "audio"
TRUE_STEMS = sorted(path.parent for path in AUDIO.glob("*/*/mixture.flac"))


@cache
def music() -> dict[str, Mono]:
    """Fifteen seconds of vocals, drums and bass: stereo, 16 bits."""
    stems = make_stems(LOOP)
    return {name: as_written(stems[name]) for name in ("vocals", "drums", "bass")}


@cache
def noise() -> dict[str, Mono]:
    """Fifteen seconds of three noises, the quietest 20 dB below the loudest: mono, 16 bits."""
    levels = {"loud": 0.5, "middle": 0.2, "quiet": 0.05}
    return {
        name: as_written(make_noise(LOOP * 44100, 1, peak=peak, seed=seed))
        for seed, (name, peak) in enumerate(levels.items())
    }


FAINT = 1e-3
"""What is heard in a part where it does not play, against that."""

SONGS = {"music": music, "noise": noise}


def measurable(kind: str) -> list[str]:
    """Return the stems that can be measured; a bass without any heights cannot."""
    return [name for name in SONGS[kind]() if name != "bass"]


def as_written(samples: npt.NDArray[np.float64]) -> Mono:
    return (np.rint(samples * 32768) / 32768).astype(np.float32)


def shift(samples: Mono, lag: int) -> Mono:
    """Delay by whole samples, the length kept."""
    moved = np.zeros_like(samples)
    moved[max(0, lag) : len(moved) + min(0, lag)] = samples[max(0, -lag) : len(samples) - max(0, lag)]
    return moved


def play(loop: Mono, start: int, frames: int) -> Mono:
    """Return what is heard from a sample on where a loop goes round and round, also before it began."""
    return loop[np.arange(start, start + frames) % len(loop)]


def listen(song: Mono, part: Mono, lag: int = 0) -> FoundLag:
    """Let one meter hear a late part beside its song, minutes of both, in blocks as a file is read."""
    total = round(MINUTES * 60 * 44100)
    return listen_once(total, lambda at, count: play(song, at, count), lambda at, count: play(part, at - lag, count))


def listen_once(total: int, song: Stretch, part: Stretch, *others: Stretch) -> FoundLag:
    meter = LagMeter(total // WINDOW)
    for start in range(0, total, WINDOW):
        count = min(WINDOW, total - start)
        if not start or count > WINDOW // 2:
            source, *heard = (one(start, count) for one in (song, part, *others))
            meter.hear(*(Passage(one, count) for one in (source, heard[0], take_away(source, heard))))
    return meter.conclude()


def listen_to(song: Mono, part: Mono) -> FoundLag:
    """Let one meter hear a part beside its song, once."""
    return listen_once(len(song), lambda at, count: song[at : at + count], lambda at, count: part[at : at + count])


def mix(stems: dict[str, Mono]) -> Mono:
    return sum(stems.values(), start=np.zeros((1, 1), np.float32))


# Each offset in one of the songs, those of either sign in both.
@pytest.mark.parametrize(("kind", "lag"), [(("music", "noise")[at % 2], lag) for at, lag in enumerate(OFFSETS)])
def test_each_part_is_measured_by_itself_to_the_sample(kind: str, lag: int) -> None:
    stems = SONGS[kind]()
    song = mix(stems)
    for name, stem in stems.items():
        found = listen(song, stem, lag)
        assert found.is_sure or name not in measurable(kind), name
        if found.is_sure:
            assert (found.lag, found.is_inverted) == (lag, False), name
        assert not found.drift, name
        assert found.relation > UNRELATED, name


@pytest.mark.parametrize("seconds", [3.0, 20.0])
def test_parts_that_are_shifted_against_each_other_are_each_found(seconds: float) -> None:
    stems = {name: play(stem, 0, round(seconds * 44100)) for name, stem in music().items()}
    song = mix(stems)
    for lag in (1, -2, 7, 300, -2048, 4000):
        assert listen_to(song, shift(stems["drums"], lag)).lag == lag
        assert listen_to(song, shift(stems["vocals"], -lag)).lag == -lag


def test_a_quarter_of_a_window_is_compared_where_that_leaves_no_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    transform = Passage.transform

    def note(self: Passage, start: int = 0, frames: int | None = None) -> Any:
        compared.append(frames or self.frames)
        return transform(self, start, frames)

    monkeypatch.setattr(Passage, "transform", note)
    song = mix(music())
    for lag in (0, 24, -1105):
        assert listen_once(2 * WINDOW, *(lambda at, n, by=by: play(song, at - by, n) for by in (0, lag))).lag == lag

    def play_little(at: int, frames: int) -> Mono:
        block = play(music()["drums"], at, frames)
        block[: 2 * GLANCE] = block[3 * GLANCE :] = 0
        return block

    assert listen_once(2 * WINDOW, partial(play, song), play_little).is_sure
    assert set(compared) == {GLANCE}
    # What hides in a quarter is looked at as a whole, and not in quarters again.
    compared.clear()
    assert listen(song, music()["bass"]).lag == 0
    assert compared.count(GLANCE) == 2
    assert compared.count(WINDOW) > 20


def test_a_glance_is_never_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(5)
    stems = {**music(), "faint": as_written(make_noise(LOOP * 44100, 1, peak=0.02, seed=9))}
    song, glimpsed = mix({name: stem[:, :1] for name, stem in stems.items()}), 0
    for name, stem in stems.items():
        for lag in map(int, draw.integers(-4096, 4097, 6)):
            at = int(draw.integers(0, len(song)))
            heard = (partial(play_from, song, at), partial(play_from, stem, at - lag))
            quick = listen_once(3 * WINDOW, *heard)
            with monkeypatch.context() as patch:
                patch.setattr(lag_meter, "_PLAIN_TO_SEE", math.inf)
                slow = listen_once(3 * WINDOW, *heard)
            assert all(found.lag == lag or not found.is_sure for found in (quick, slow)), name
            assert quick.is_sure or not slow.is_sure, name
            glimpsed += quick.confidence != slow.confidence
    assert 6 <= glimpsed < 24


def test_a_part_that_was_cut_has_no_sure_place_and_is_of_its_song() -> None:
    song, drums = mix(music()), music()["drums"]

    def play_cut(at: int, frames: int) -> Mono:
        return play(drums, at - (1000 if at >= 2 * WINDOW else 0), frames)

    found = listen_once(4 * WINDOW, partial(play, song), play_cut)
    assert not found.is_sure
    assert found.relation == 1.0


def play_from(loop: Mono, begin: int, start: int, frames: int) -> Mono:
    return play(loop, begin + start, frames)


@pytest.mark.parametrize("folder", TRUE_STEMS or [pytest.param(None, marks=pytest.mark.skip("no audio here"))])
def test_what_is_sure_is_right_on_songs_with_true_stems(folder: Path) -> None:
    song = read_samples(folder / "mixture.flac")[0].astype(np.float32)
    sure = 0
    for path in sorted(folder.glob("*.flac")):
        if path.stem == "mixture":
            continue
        stem = read_samples(path)[0].astype(np.float32)
        for lag in (1, 24, -1105):
            found = listen_to(song, shift(stem, lag))
            assert not found.is_sure or found.lag == lag, path
            sure += found.is_sure
    assert sure >= 6


def test_a_part_without_heights_is_measured_by_what_it_sounds_on() -> None:
    stems = music()
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(LOOP * 44100))
    spectrum[np.fft.rfftfreq(LOOP * 44100, 1 / 44100) > 2000] = 0
    low = np.fft.irfft(spectrum)
    part = as_written(low[:, None] * (0.5 / np.abs(low).max()))
    found = listen(part + stems["vocals"] + stems["drums"], part, 1105)
    assert (found.lag, found.is_sure, found.is_hint) == (1105, True, True)


def listen_beside(song: Mono, part: Mono, *others: Mono) -> FoundLag:
    """Let one meter hear minutes of a part beside its song and the other parts."""
    total = round(MINUTES * 60 * 44100)
    return listen_once(total, *(partial(play, one) for one in (song, part, *others)))


@cache
def deep() -> Mono:
    """Fifteen seconds of a bass without anything above 120 Hz."""
    spectrum = np.fft.rfft(np.random.default_rng(3).standard_normal(LOOP * 44100))
    spectrum[np.fft.rfftfreq(LOOP * 44100, 1 / 44100) > 120] = 0
    low = np.fft.irfft(spectrum)
    return as_written(low[:, None] * (0.3 / np.abs(low).max()))


def late_bass(lag: int) -> Mono:
    return np.roll(deep(), lag, axis=0)


@pytest.mark.parametrize("lag", [-7, 0, 1])
def test_a_bass_that_leaves_doubt_lies_where_it_leaves_least_of_the_song(lag: int) -> None:
    vocals, drums = music()["vocals"], music()["drums"]
    song = vocals + drums + deep()
    alone, found = (listen_beside(song, late_bass(lag), *others) for others in ((), (vocals, drums)))
    assert not alone.is_sure
    assert (found.lag, found.is_sure, found.is_inverted) == (lag, True, False)
    # A direct current in the recording is no hindrance.
    raised = listen_beside(song + np.float32(0.3), late_bass(lag) + np.float32(0.3), vocals, drums)
    assert (raised.lag, raised.is_sure) == (lag, True)


def test_what_the_parts_do_not_make_together_tells_nothing() -> None:
    vocals, drums = music()["vocals"], music()["drums"]
    song = vocals + drums + deep()
    late_drums, quiet_drums = np.roll(drums, 24, axis=0), drums * np.float32(0.95)
    for others in ((vocals,), (vocals, drums, song), (vocals, late_drums), (vocals, quiet_drums)):
        assert not listen_beside(song, late_bass(1), *others).is_sure
    assert not listen_beside(song, -deep(), vocals, drums).is_sure


@pytest.mark.parametrize("kind", SONGS)
def test_an_inverted_stem_is_found(kind: str) -> None:
    stems = SONGS[kind]()
    for name in measurable(kind):
        found = listen(mix(stems), -stems[name], 24)
        assert (found.lag, found.is_inverted, found.is_sure) == (24, True, True)


@pytest.mark.parametrize(("rate", "sign"), [(44_099.5, -1), (44_100.5, 1)])
@pytest.mark.parametrize("kind", SONGS)
def test_drift_is_found_and_is_no_offset(kind: str, rate: float, sign: int) -> None:
    stems = SONGS[kind]()
    total = round(MINUTES * 60 * 44100)
    whole = play(stems["drums" if kind == "music" else "middle"][:, :1], 0, total)
    drifting = soxr.resample(whole, 44_100, rate)
    found = listen_once(
        total,
        lambda at, count: play(mix(stems)[:, :1], at, count),
        lambda at, count: drifting[at : at + count],
    )
    # Half a sample each second, from the first window compared to the last.
    assert found.drift == pytest.approx(sign * MINUTES * 30, abs=6)
    assert not found.is_sure


def test_stereo_that_cancels_in_mono_is_measured() -> None:
    wide = make_noise(20 * 44_100, 1).astype(np.float32) * np.array([1, -1], np.float32)
    assert listen_to(wide + make_noise(20 * 44_100, seed=2).astype(np.float32), shift(wide, 24)).lag == 24


@pytest.mark.parametrize("seconds", [0.2, 1.0, 1.6, 3.0])
def test_short_songs_are_measured_too(seconds: float) -> None:
    frames = round(seconds * 44_100)
    stems = {name: as_written(make_noise(frames, peak=0.4, seed=seed)) for seed, name in enumerate("ab")}
    for lag in (0, 24, -700):
        found = listen_to(mix(stems), shift(stems["a"], lag))
        assert (found.lag, found.is_sure) == (lag, True)


def test_the_end_of_a_part_is_not_heard_at_its_beginning() -> None:
    """The Fourier transform goes round: without room behind it what lies at one end would seem near the other."""
    ending = make_noise(1500, 1).astype(np.float32)
    rest = np.zeros((12_500, 1), np.float32)
    assert not listen_to(np.concatenate((rest, ending)), np.concatenate((ending, rest))).is_sure


def test_another_song_is_never_sure_and_hardly_related() -> None:
    song, other = mix(noise()), make_noise(LOOP * 44100, 1, seed=9).astype(np.float32)
    found = listen(song, other)
    assert not found.is_sure
    assert found.confidence < 1.5
    assert found.relation < 0.02
    assert listen(song, noise()["quiet"]).relation > 0.05


def test_a_part_is_not_measured_where_its_source_is_silent() -> None:
    stems = {name: as_written(make_noise(2 * WINDOW, peak=0.4, seed=seed)) for seed, name in enumerate("ab")}
    song, part = mix(stems), shift(stems["a"], 24)
    song[WINDOW:], part[WINDOW:] = 0, 2 * part[WINDOW:]
    found = listen_to(song, part)
    assert (found.lag, found.is_sure) == (24, True)


def test_silence_has_no_lag() -> None:
    song = mix(noise())
    # The fade takes what sounds at the first sample alone.
    click = np.zeros_like(song)
    click[0] = 1
    for source, part in ((song, np.zeros_like(song)), (np.zeros_like(song), song), (click, click)):
        found = listen(source, part)
        assert found.is_silent
        assert not found.is_sure


def test_the_part_is_heard_where_it_plays() -> None:
    """A stem that plays for five seconds of two and a half minutes is measured in those."""
    stems = noise()
    begin, end = 4_000_000, 4_220_000

    def brief(at: int, count: int, lag: int = 0) -> Mono:
        is_on = (np.arange(at - lag, at - lag + count) >= begin) & (np.arange(at - lag, at - lag + count) < end)
        heard: Mono = play(stems["middle"], at - lag, count) * is_on[:, None]
        return heard + FAINT * play(stems["quiet"], at + 99_999, count)

    others = stems["loud"] + stems["quiet"]
    found = listen_once(
        round(MINUTES * 60 * 44100),
        lambda at, count: play(others, at, count) + brief(at, count),
        lambda at, count: brief(at, count, 24),
    )
    assert (found.lag, found.is_sure) == (24, True)
