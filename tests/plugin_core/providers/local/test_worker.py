from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from plugin_core.audio.formats import FORMATS
from plugin_core.audio.probe import probe
from plugin_core.audio.remainder import open_stems
from plugin_core.audio.samples import to_integers
from plugin_core.errors import PlacementError, SourceError
from plugin_core.providers.local import request
from plugin_core.providers.local.network import MaskNetwork, read_network
from plugin_core.providers.local.request import STEMS, Parameters, WorkerRequest
from plugin_core.providers.local.worker import Estimates, mix_down, render, separate
from plugin_core.worker import WorkerDone
from tests.audio_files import make_noise, make_song, make_stems, truncate, write_samples, write_song
from tests.plugin_core.audio.library import tell_flac

TRUTH = Path(__file__).parents[5] / "shared" / "audio" / "truth"


def run(source: Path, folder: Path, name: str, block_seconds: float = 5.0, *, network: bool = True) -> WorkerDone:
    wish = WorkerRequest(source=source, folder=folder, format=name, block_seconds=block_seconds, network=network)
    return render(wish, lambda fraction: None)


@pytest.mark.parametrize("ahead", [True, False], ids=["ahead", "in turn"])
@pytest.mark.parametrize("good", [0, 1], ids=["last", "first"])
def test_what_fails_in_writing_is_raised(tmp_path: Path, good: int, ahead: bool) -> None:
    info, stems = probe(write_song(tmp_path / "in.wav", 0.1)), {"vocals": "vocals.wav"}
    wrong, right = np.zeros((3, 1), np.float32), np.zeros((3, 2), np.float32)
    opened = open_stems(tmp_path, stems, info, FORMATS["wav16"], ahead=ahead)
    with pytest.raises(ValueError, match=r"needed"), opened as write:
        for block in (wrong, right)[: 1 + good]:
            write({"vocals": block})
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def read_integers(path: Path) -> NDArray[np.int64]:
    """Return samples as 32-bit integers, wide enough for sums."""
    samples: NDArray[np.int32] = soundfile.read(os.fsencode(path), dtype="int32", always_2d=True)[0]
    return samples.astype(np.int64)


def assert_sums_exactly(source: Path, folder: Path, done: WorkerDone) -> None:
    total = sum(read_integers(folder / done.files[stem]) for stem in STEMS)
    np.testing.assert_array_equal(total, read_integers(source))


def square(frames: int) -> NDArray[np.float64]:
    wave: NDArray[np.float64] = np.sign(np.sin(np.arange(frames) / 30.0))
    return np.stack((wave, wave), axis=1)


KINDS = {
    "song": make_song(1.5),
    "noise": make_noise(30_000, peak=1.0),
    "clipped noise": np.clip(make_noise(30_000, peak=4.0), -1, 1),
    "silence": np.zeros((30_000, 2)),
    "constant": np.full((30_000, 2), -1.0),
    "square": square(30_000),
    "antiphase": make_noise(30_000, 1) * [1, -1],
    "hard left": make_noise(30_000, 1) * [1, 0],
    "click": np.eye(30_000, 2),
    "mono": make_song(1, channels=1),
    "six channels": make_noise(20_000, 6),
    "10 ms": make_noise(441),
}


def test_flac_whose_header_counts_too_few_samples_is_separated_whole(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.flac", 12.0)
    whole = read_integers(song)
    data = bytearray(song.read_bytes())
    tell_flac(data, 6 * 44100)
    song.write_bytes(data)

    done = run(song, tmp_path / "stems", "flac16")

    np.testing.assert_array_equal(sum(read_integers(tmp_path / "stems" / done.files[stem]) for stem in STEMS), whole)


@pytest.mark.parametrize("block_seconds", [0.5, 5.0], ids=["short blocks", "long blocks"])
@pytest.mark.parametrize("samples", KINDS.values(), ids=KINDS.keys())
def test_stems_sum_to_the_source(samples: NDArray[np.float64], block_seconds: float, tmp_path: Path) -> None:
    source = write_samples(tmp_path / "in.wav", samples, 44100, "PCM_16")
    done = run(source, tmp_path / "out", "flac16", block_seconds)
    assert_sums_exactly(source, tmp_path / "out", done)


@pytest.mark.parametrize("rate", [8000, 22050, 96000, 192000])
def test_deep_sources_of_any_rate(rate: int, tmp_path: Path) -> None:
    source = write_song(tmp_path / "in.wav", 0.7, rate, subtype="PCM_24")
    done = run(source, tmp_path / "out", "flac24")
    assert_sums_exactly(source, tmp_path / "out", done)
    assert soundfile.info(tmp_path / "out" / "bass.flac").samplerate == rate


def test_shallow_source_in_a_deep_format(tmp_path: Path) -> None:
    source = write_song(tmp_path / "in.flac", 1, subtype="PCM_16")
    assert_sums_exactly(source, tmp_path / "out", run(source, tmp_path / "out", "wav24"))


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE", "PCM_32"])
def test_floats_over_full_scale_are_kept(subtype: str, tmp_path: Path) -> None:
    samples = make_song(1) * (3.0 if subtype != "PCM_32" else 1.0)
    source = write_samples(tmp_path / "in.wav", samples, 44100, subtype)
    done = run(source, tmp_path / "out", "wav32f")
    total = sum(soundfile.read(tmp_path / "out" / done.files[stem], dtype="float64")[0] for stem in STEMS)
    assert np.abs(total - soundfile.read(source, dtype="float64")[0]).max() < 2e-7


def test_floats_over_full_scale_do_not_fit_integers(tmp_path: Path) -> None:
    samples = np.concatenate((make_noise(20_000, peak=1.1), np.full((9, 2), 10 ** (6.02 / 20)), make_noise(5, peak=1)))
    source = write_samples(tmp_path / "in.wav", samples, 8000, "FLOAT")
    with pytest.raises(SourceError, match=r"in\.wav: peaks 6\.0 dB over full scale do not fit FLAC.*wav32f"):
        run(source, tmp_path / "out", "flac24", 0.5)
    assert list(tmp_path.iterdir()) == [source]


def test_lossy_source_is_clipped_as_a_player_does(tmp_path: Path) -> None:
    source = write_samples(tmp_path / "in.ogg", square(44100), 44100, "VORBIS")
    done = run(source, tmp_path / "out", "flac24")
    assert done.clipped > 0
    total = sum(read_integers(tmp_path / "out" / done.files[stem]) for stem in STEMS) >> 8
    decoded = np.rint(np.clip(soundfile.read(source)[0] * 2**23, -(2**23), 2**23 - 1))
    assert np.abs(total - decoded).max() <= 1


def test_progress_is_the_share_written(tmp_path: Path) -> None:
    source = write_song(tmp_path / "in.wav", 8, 8000)
    said: list[float | None] = []
    render(WorkerRequest(source=source, folder=tmp_path / "out", format="flac16", block_seconds=0.5), said.append)
    known = [fraction for fraction in said if fraction is not None]
    assert known == sorted(known)
    assert len(known) == len(said) >= 5
    assert known[-1] == 1.0


def test_same_file_same_bytes(tmp_path: Path) -> None:
    source = write_song(tmp_path / "in.wav", 2)
    for name in ("one", "two"):
        run(source, tmp_path / name, "flac16")
    for stem in STEMS:
        assert (tmp_path / "one" / f"{stem}.flac").read_bytes() == (tmp_path / "two" / f"{stem}.flac").read_bytes()


def test_damaged_source_leaves_nothing_behind(tmp_path: Path) -> None:
    source = truncate(write_song(tmp_path / "in.flac", 4), 0.6)
    with pytest.raises(SourceError, match=r"in\.flac"):
        run(source, tmp_path / "out", "flac16", 0.5)
    assert list(tmp_path.iterdir()) == [source]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    source = write_song(tmp_path / "in.wav", 0.1)
    with pytest.raises(PlacementError, match="cannot be written"):
        run(source, source / "out", "flac16")


@pytest.mark.skipif(not TRUTH.is_dir(), reason="the pieces with true stems are not here")
def test_quality_on_pieces_with_true_stems(tmp_path: Path) -> None:
    ratios: dict[bool, list[float]] = {False: [], True: []}
    span = slice(19 * 44100, 29 * 44100)
    for piece in sorted(path for path in TRUTH.iterdir() if path.is_dir()):
        stems = {stem: soundfile.read(piece / f"{stem}.flac")[0][span] for stem in (*STEMS, "mixture")}
        song = write_samples(tmp_path / f"{piece.name}.wav", stems["mixture"], 44100, "PCM_16")
        for network in ratios:
            done = run(song, tmp_path / f"{piece.name} {network}", "flac16", network=network)
            for stem in STEMS:
                error = stems[stem] - soundfile.read(tmp_path / f"{piece.name} {network}" / done.files[stem])[0]
                ratios[network].append(10 * np.log10(np.sum(stems[stem] ** 2) / np.sum(error**2)))
            assert_sums_exactly(song, tmp_path / f"{piece.name} {network}", done)
        assert np.mean(ratios[True][-4:]) > np.mean(ratios[False][-4:]), piece.name
    assert len(ratios[True]) == 12
    assert np.mean(ratios[False]) >= 2.7
    assert np.mean(ratios[True]) >= 4.5


@pytest.mark.skipif(not TRUTH.is_dir(), reason="the pieces with true stems are not here")
def test_instrumental_and_a_cappella_are_told(tmp_path: Path) -> None:
    parts = {stem: soundfile.read(TRUTH / "fd_e1m1" / f"{stem}.flac")[0][20 * 44100 : 28 * 44100] for stem in STEMS}
    pieces = {"instrumental": parts["drums"] + parts["bass"] + parts["other"], "a cappella": parts["vocals"]}
    said = {}
    for name, samples in pieces.items():
        source = write_samples(tmp_path / f"{name}.wav", samples, 44100, "PCM_16")
        done = run(source, tmp_path / name, "flac16")
        vocals = soundfile.read(tmp_path / name / done.files["vocals"])[0]
        quiet = vocals if name == "instrumental" else samples - vocals
        assert 10 * np.log10(np.sum(quiet**2) / np.sum(samples**2)) < -25
        said[name] = done.notes
        assert_sums_exactly(source, tmp_path / name, done)
    assert said == {
        "instrumental": ("no voice was heard: the vocals are all but silent",),
        "a cappella": ("nothing but a voice was heard: drums, bass and other are all but silent",),
    }


def test_without_weights_signal_processing_does_it_alone_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_song(tmp_path / "in.wav", 2)
    refined = run(source, tmp_path / "refined", "flac16")
    classic = run(source, tmp_path / "classic", "flac16", network=False)
    monkeypatch.setattr(request, "NETWORK_MANIFEST", tmp_path / "network.toml")
    alone = run(source, tmp_path / "alone", "flac16")
    assert classic.notes == ()
    assert not any("signal processing" in note for note in refined.notes)
    assert alone.notes == (
        f"separated by signal processing alone: {tmp_path / 'network.toml'}: No such file or directory;"
        " install stembridge again",
    )
    for stem in STEMS:
        samples = [(tmp_path / name / f"{stem}.flac").read_bytes() for name in ("refined", "classic", "alone")]
        assert samples[1] == samples[2]
        assert samples[0] != samples[1]


def make_estimates(peak: float, others: float) -> Estimates:
    parts = [make_noise(5000, peak=others, seed=seed).astype(np.float32) for seed in range(3)]
    return Estimates(make_noise(5000, peak=peak, seed=9).astype(np.float32), *parts)


@pytest.mark.parametrize("bits", [8, 16, 24])
@pytest.mark.parametrize("others", [0.1, 1.0, 5.0], ids=["quiet", "full scale", "clipped"])
def test_integers_sum_exactly_and_stay_in_range(bits: int, others: float) -> None:
    estimates = make_estimates(1.0, others)
    stems = mix_down(estimates, bits)
    total = np.sum([stem.astype(np.int64) for stem in stems.values()], axis=0)
    np.testing.assert_array_equal(total, to_integers(estimates.source, bits))
    limit = 1 << (bits - 1)
    assert all(stem.min() >= -limit and stem.max() < limit for stem in stems.values())


def test_excess_goes_to_drums_first() -> None:
    one = np.ones((1, 1), dtype=np.float32)
    stems = mix_down(Estimates(-one, 0.5 * one, 0 * one, 0 * one), 16)
    assert {name: int(stem[0, 0]) for name, stem in stems.items()} == {
        "vocals": 0,
        "drums": 0,
        "bass": 0,
        "other": -32768,
    }


def test_floats_sum_within_one_rounding_over_full_scale_too() -> None:
    estimates = make_estimates(3.0, 2.0)
    stems = mix_down(estimates, None)
    total = np.sum([stem.astype(np.float64) for stem in stems.values()], axis=0)
    assert all(stem.dtype == np.float32 for stem in stems.values())
    assert (
        np.abs(total - estimates.source).max() <= 2.0**-21
    )  # half a step of a float32 from 8 to 16, as large as "other" gets here


Block = NDArray[Any]


BOTH = pytest.mark.parametrize("network", [None, read_network()], ids=["classic", "network"])


def estimate(
    samples: Block,
    rate: int = 44100,
    block_seconds: float = 5.0,
    network: MaskNetwork | None = None,
    **parameters: float,
) -> Estimates:
    """Separate a whole array and join the blocks."""
    position = 0

    def read(frames: int) -> Block:
        nonlocal position
        position += frames
        return samples[position - frames : position]

    blocks = list(
        separate(
            read,
            sample_rate=rate,
            channels=samples.shape[1],
            parameters=Parameters(**parameters),
            block_seconds=block_seconds,
            network=network,
        )
    )
    return Estimates(*(np.concatenate([block[part] for block in blocks]) for part in range(4)))


def ratio(truth: Block, estimate: Block) -> float:
    return float(10 * np.log10(np.sum(truth**2) / np.sum((truth - estimate) ** 2)))


@BOTH
@pytest.mark.parametrize(
    ("channels", "block_seconds"),
    [*((channels, 0.7) for channels in (1, 2, 3, 6, 8, 9)), (2, 0.02), (3, 0.02), (2, 5.0)],
)
def test_every_frame_comes_out_once(channels: int, block_seconds: float, network: MaskNetwork | None) -> None:
    samples = make_noise(9001, channels).astype(np.float32)
    found = estimate(samples, 8000, block_seconds, network)
    np.testing.assert_array_equal(found.source, samples)
    assert all(part.shape == samples.shape and np.isfinite(part).all() for part in found)


@BOTH
@pytest.mark.parametrize("frames", [1, 2, 80, 1023, 1024, 1025, 40_000])
def test_any_length(frames: int, network: MaskNetwork | None) -> None:
    found = estimate(make_noise(frames).astype(np.float32), 8000, 0.5, network)
    assert all(part.shape == (frames, 2) for part in found)


def test_length_that_is_a_whole_number_of_blocks() -> None:
    hop = 256
    samples = make_noise(hop * 16 * 3).astype(np.float32)
    assert len(estimate(samples, 8000, 16 * hop / 8000).source) == len(samples)


def test_nothing_gives_nothing() -> None:
    empty = np.zeros((0, 2), dtype=np.float32)
    assert list(separate(lambda _: empty, sample_rate=8000, channels=2)) == []


@BOTH
def test_same_input_same_output(network: MaskNetwork | None) -> None:
    samples = make_song(4).astype(np.float32)
    for first, second in zip(estimate(samples, network=network), estimate(samples, network=network), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("network", "depth"), [(None, 0.7), (None, 0.0), (read_network(), 0.7)], ids=["classic", "no melody", "network"]
)
def test_the_block_length_is_not_heard(network: MaskNetwork | None, depth: float) -> None:
    rate = 11025
    song = make_song(1.25, rate)
    levels = np.repeat([0.0, 0.01, 1.0, 0.1, 0.5, 0.0, 0.003, 1.0], len(song))[:, None]
    samples = np.tile(song, (8, 1)) * levels + make_noise(8 * len(song), peak=0.001)
    long = estimate(samples.astype(np.float32), rate, block_seconds=30.0, network=network, melody_depth=depth)
    for seconds in (1.0, 7.3):
        short = estimate(samples.astype(np.float32), rate, seconds, network, melody_depth=depth)
        for mine, theirs in zip(short[1:], long[1:], strict=True):
            assert ratio(theirs, mine) > (80 if network else 100), seconds


@BOTH
def test_known_stems_are_found(network: MaskNetwork | None) -> None:
    stems = make_stems(10)
    mixture = sum(stems.values(), start=np.zeros((1, 2)))
    found = estimate(mixture.astype(np.float32), network=network)
    rest = mixture - found.drums - found.bass - found.vocals
    estimates: dict[str, Block] = {"vocals": found.vocals, "drums": found.drums, "bass": found.bass, "other": rest}
    gains = {name: ratio(stem, estimates[name]) - ratio(stem, mixture) for name, stem in stems.items()}
    assert all(gain > 3 for gain in gains.values()), gains
    if network is None:  # which learnt from no stems as bare as these
        assert np.mean([ratio(stem, estimates[name]) for name, stem in stems.items()]) > 3


def test_drums_stay_out_of_bass_and_a_tone_out_of_drums() -> None:
    time = np.arange(5 * 44100) / 44100
    tone = np.repeat(0.5 * np.sin(2 * np.pi * 70 * time)[:, None], 2, axis=1).astype(np.float32)
    found = estimate(tone)
    middle = slice(44100, -44100)
    assert ratio(tone[middle], found.bass[middle]) > 15
    assert np.abs(found.drums[middle]).max() < 0.02


def test_wide_sound_is_kept_out_of_vocals() -> None:
    song = make_noise(3 * 44100, 1)
    wide = np.hstack((song, -song)).astype(np.float32)
    found = estimate(wide)
    assert np.abs(found.vocals).max() < 1e-3
    assert np.abs(found.bass).max() < 1e-3


def test_surround_channels_share_the_masks_of_their_stereo_pair() -> None:
    song = make_song(3, channels=2).astype(np.float32)
    quad = np.hstack((song, song))
    stereo, four = (estimate(sound, network=read_network()) for sound in (song, quad))
    # The pair hears every channel twice as loud, which changes no mask.
    np.testing.assert_allclose(four.drums[:, 2:], stereo.drums, atol=1e-5)


@pytest.mark.parametrize("level", [1e-30, 1e-6, 40.0, 1e20, 3e38], ids=str)
def test_any_level_stays_finite(level: float) -> None:
    found = estimate((make_noise(8000) * level).astype(np.float32), 8000, network=read_network())
    assert all(np.isfinite(part).all() for part in found)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 48000, 96000, 192000])
def test_any_sample_rate(rate: int) -> None:
    samples = make_song(1, rate).astype(np.float32)
    found = estimate(samples, rate, network=read_network())
    assert all(part.shape == samples.shape for part in found)
    assert np.abs(found.drums).max() > 0.01
