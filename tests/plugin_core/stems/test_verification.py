from __future__ import annotations

import weakref
from pathlib import Path

import msgspec
import numpy as np
import pytest

from plugin_core.audio.samples import Samples
from plugin_core.errors import PlacementError, SourceError, TransientError
from plugin_core.model import Part
from plugin_core.stems import part as part_module
from plugin_core.stems import verification
from plugin_core.stems.alignment import Alignment, HeardPart
from plugin_core.stems.lag_meter import SLOTS, WINDOW, Passage
from plugin_core.stems.verification import verify_parts
from plugin_core.tasks import StoppedError, Stopper
from tests.audio_files import (
    encode,
    make_noise,
    make_song,
    make_stems,
    read_samples,
    truncate,
    write_samples,
    write_song,
)
from tests.plugin_core.stems.builders import make_exact_song


def test_exact_parts_pass(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    checked = verify_parts(source.path, parts, Stopper())
    assert checked.source.frames == 44100
    assert checked.frames == (44100,) * 4


@pytest.mark.parametrize(("error", "is_wrong"), [(1, False), (2, True)], ids=["one-step", "two-steps"])
def test_sum_may_differ_by_one_step(tmp_path: Path, error: int, is_wrong: bool) -> None:
    source, parts = make_exact_song(tmp_path)
    samples, rate = read_samples(parts[0].path)
    samples[30_000, 1] += error / 32768
    write_samples(parts[0].path, samples, rate)
    if is_wrong:
        with pytest.raises(PlacementError, match="sum to the source at sample 30000"):
            verify_parts(source.path, parts, Stopper())
    else:
        verify_parts(source.path, parts, Stopper())


def test_exact_float_parts_are_checked_as_floats(tmp_path: Path) -> None:
    song = make_song(0.5) * 3
    source = write_samples(tmp_path / "song.wav", song, subtype="FLOAT")
    half = write_samples(tmp_path / "half.wav", song / 2, subtype="FLOAT")
    parts = [Part(stem=name, label=name, path=half, exact=True) for name in ("a", "b")]
    verify_parts(source, parts, Stopper())
    wrong = write_samples(tmp_path / "wrong.wav", song / 2 + 1e-5, subtype="FLOAT")
    with pytest.raises(PlacementError, match="sum"):
        verify_parts(source, [parts[0], msgspec.structs.replace(parts[1], path=wrong)], Stopper())


def test_shorter_exact_part_is_refused(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    samples, rate = read_samples(parts[1].path)
    write_samples(parts[1].path, samples[:-1], rate)
    with pytest.raises(PlacementError, match="not as long"):
        verify_parts(source.path, parts, Stopper())


@pytest.mark.parametrize("seconds", [1.4, 2.6, 20.0])
def test_parts_that_are_not_exact_may_have_any_length(tmp_path: Path, seconds: float) -> None:
    source = write_song(tmp_path / "song.flac", 2.0)
    part = Part(stem="vocals", label="Vocals", path=write_song(tmp_path / "v.flac", seconds, 48000))
    assert verify_parts(source, [part], Stopper()).frames == (round(seconds * 48000),)


def test_the_largest_samples_of_source_and_parts_are_told(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    song = write_samples(tmp_path / "loud.wav", -3 * read_samples(source.path)[0], subtype="FLOAT")
    loose = [msgspec.structs.replace(part, exact=False) for part in parts]
    checked = verify_parts(song, loose, Stopper())
    samples = read_samples(song)[0]
    assert checked.peak == np.abs(samples).max()
    assert checked.overs == np.count_nonzero(np.abs(samples) > 1)
    assert checked.peaks == tuple(float(np.abs(read_samples(part.path)[0]).max()) for part in parts)


def test_damaged_part_is_the_result_s_fault_and_named_as_people_know_it(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    loose = [msgspec.structs.replace(part, exact=False) for part in parts]
    truncate(parts[2].path, 0.5)
    for given in (parts, loose):
        with pytest.raises(
            PlacementError, match=r"the fetched part Bass of Song\.flac is unusable: it is damaged"
        ) as told:
            verify_parts(source.path, given, Stopper())
        assert str(tmp_path) not in str(told.value)


def test_damaged_source_is_the_source_s_fault(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    truncate(source.path, 0.5)
    for given in (parts, [msgspec.structs.replace(part, exact=False) for part in parts]):
        with pytest.raises(SourceError, match="Song"):
            verify_parts(source.path, given, Stopper())


def test_no_parts_and_stopping(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    with pytest.raises(PlacementError, match="no stems"):
        verify_parts(source.path, [], Stopper())
    stopper = Stopper()
    stopper.request()
    with pytest.raises(StoppedError):
        verify_parts(source.path, parts, stopper)


def test_lossy_part_counts_its_decoded_frames(tmp_path: Path) -> None:
    source = write_song(tmp_path / "song.wav", 1.0)
    part = Part(stem="vocals", label="Vocals", path=encode(source, tmp_path / "v.mp3"))
    checked = verify_parts(source, [part], Stopper())
    assert abs(checked.frames[0] - 44100) <= 2304
    assert np.isclose(checked.source.frames, 44100)


def test_kin_are_parts_of_one_encoder_and_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, parts = make_exact_song(tmp_path)
    samples, rate = read_samples(parts[0].path)
    write_samples(parts[0].path, np.pad(samples, ((24, 0), (0, 0))), rate)
    parts[1] = msgspec.structs.replace(parts[1], path=encode(parts[1].path, tmp_path / "drums.mp3"))
    seen: list[HeardPart] = []

    def note(heard: list[HeardPart]) -> Alignment:
        seen.extend(heard)
        return Alignment((0,) * len(heard))

    monkeypatch.setattr(verification, "align", note)
    verify_parts(source.path, [msgspec.structs.replace(part, exact=False) for part in parts], Stopper())
    assert [one.title for one in seen] == ["Vocals", "Drums", "Bass", "Other"]
    assert len({one.kin for one in seen}) == 3
    assert seen[2].kin == seen[3].kin


def test_each_part_is_heard_beside_the_source_and_all_others(tmp_path: Path) -> None:
    """A bass one sample late is told by what is left of the song without the other stems."""
    rise = 2 * np.pi * np.cumsum(40 + 60 * np.linspace(0, 1, 4 * 44100)) / 44100
    bass = 0.3 * np.sin(rise)[:, None] * np.ones(2)
    stems = {"drums": 0.3 * make_noise(4 * 44100), "bass": bass, "vocals": 0.2 * make_noise(4 * 44100, seed=7)}
    source = write_samples(tmp_path / "song.wav", sum(stems.values(), start=np.zeros(2)))
    stems["bass"] = np.roll(bass, 1, axis=0)
    parts = [
        Part(stem=name, label=name, path=write_samples(tmp_path / f"{name}.wav", stem)) for name, stem in stems.items()
    ]
    assert verify_parts(source, parts, Stopper()).alignment == Alignment(
        (0, 1, 0), ("Bass: removed an offset of 1 sample against the source",)
    )


@pytest.mark.parametrize("beat", [3000, 5512, 11025])
def test_parts_that_make_their_song_are_not_moved_however_often_it_repeats(beat: int, tmp_path: Path) -> None:
    stems = {name: np.tile(stem[:beat], (12 * 44100 // beat, 1)) for name, stem in make_stems(1.0, seed=2).items()}
    whole = sum(stems.values(), start=np.zeros(2))
    source = write_samples(tmp_path / "song.wav", whole, subtype="PCM_16")
    parts = [
        Part(stem=name, label=name, path=write_samples(tmp_path / f"{name}.flac", stem, subtype="PCM_16"))
        for name, stem in stems.items()
    ]
    assert verify_parts(source, parts, Stopper()).alignment == Alignment((0,) * len(parts))
    late = [msgspec.structs.replace(part, path=tmp_path / f"late {part.stem}.flac") for part in parts]
    for part, stem in zip(late, stems.values(), strict=True):
        write_samples(part.path, np.pad(stem, ((700, 0), (0, 0))), subtype="PCM_16")
    assert verify_parts(source, late, Stopper()).alignment != Alignment((0,) * len(parts))


def test_a_disk_that_is_away_is_told_by_the_stem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, parts = make_exact_song(tmp_path)

    def fail(path: Path) -> None:
        raise TransientError(f"{path} cannot be read now: Stale file handle")

    monkeypatch.setattr(part_module, "open_reader", fail)
    with pytest.raises(TransientError) as told:
        verify_parts(source.path, parts, Stopper())
    assert told.value.message == "the fetched part Vocals of Song.flac cannot be read now: Stale file handle"


def test_many_parts_are_not_held_in_memory_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is loudest in a window of its own, in which the others are in nobody's way."""
    count, rate = 5, 8000
    song = np.zeros((SLOTS * count * WINDOW, 1), np.float32)
    paths = [tmp_path / f"{index}.wav" for index in range(count)]
    for index, path in enumerate(paths):
        played = np.zeros_like(song)
        played[index * WINDOW + 64 :: count * WINDOW] = 0.1
        write_samples(path, played, rate, subtype="PCM_U8")
        song += played
    source = write_samples(tmp_path / "song.wav", song, rate, subtype="PCM_U8")
    held, most = weakref.WeakSet[Passage](), 0

    class Counted(Passage):
        def __init__(self, block: Samples, frames: int) -> None:
            nonlocal most
            super().__init__(block, frames)
            held.add(self)
            most = max(most, len(held))

    monkeypatch.setattr(verification, "Passage", Counted)
    verify_parts(source, [Part(stem=path.stem, label=path.stem, path=path) for path in paths], Stopper())
    # Of each of the first six slots' windows the source, what is left of it, and the one part; and the present window.
    assert most <= 6 * count * 3 + count + 2
