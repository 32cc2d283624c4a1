"""What the embedded separator makes of songs at any level comes back from every format: it sums, or it is said."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import soxr

from plugin_core.audio.formats import FORMATS, AudioFormat
from plugin_core.audio.overload import require_fit
from plugin_core.audio.reader import open_reader
from plugin_core.audio.samples import to_integers
from plugin_core.errors import SourceError
from plugin_core.model import OnOverload, Part, Separation, Source
from plugin_core.operations.song import inspect
from plugin_core.providers.engine import worker_format
from plugin_core.providers.local.request import WorkerRequest
from plugin_core.providers.local.worker import render
from plugin_core.stems.layout import parse_template
from plugin_core.stems.treatment import Treated, Treatment, treat
from plugin_core.tasks import Stopper
from plugin_core.wishes import DEFAULT_TEMPLATE
from tests.audio_files import STEMS, encode, make_song, write_samples

Signal = npt.NDArray[np.float64]

WORDS = ("refuse", "scale", "float")
KINDS = ("flac24", "w64_16", "wav32f", "m4a")
"""A format of each kind: what is scaled, or written as floats in its place, does not hang on the others."""
CASES = [(name, 0.0, "scale") for name in FORMATS] + [(name, 6.0, "refuse") for name in FORMATS]
"""Formats, the songs' peaks in dB of full scale, and what is to be done with what lies over it."""
CASES += [(name, 6.0, word) for name in KINDS for word in ("scale", "float")]
# Far below and far above, only the gain is another.
CASES += [(name, -3.0, "scale") for name in ("flac24", "m4a")]
CASES += [("flac24", 16.0, word) for word in WORDS] + [("m4a", 16.0, "scale")]


def make_source(folder: Path, level: float, subtype: str = "FLOAT") -> Source:
    song = make_song(1.0)
    song *= 10 ** (level / 20) / np.abs(song).max()
    return inspect(write_samples(folder / "Song.wav", song.astype(np.float32), subtype=subtype))


_rendered: dict[tuple[str, str], tuple[Path, Mapping[str, str]]] = {}


def separate(source: Source, **wish: object) -> Treated:
    """Split a song as a job of the embedded separator does; one song into one format once for all tests."""
    operation = msgspec.convert({"kind": "separation", "provider": "local", **wish}, Separation)
    folder, form = source.path.parent / "parts", worker_format(operation, source).name
    if (source.content, form) not in _rendered:
        kept = source.path.parent / "rendered"
        done = render(WorkerRequest(source=source.path, folder=kept, format=form), lambda _share: None)
        _rendered[source.content, form] = kept, done.files
    kept, files = _rendered[source.content, form]
    shutil.copytree(kept, folder)
    parts = tuple(Part(stem=stem, label=stem, path=folder / name, exact=True) for stem, name in files.items())
    task = Treatment(
        source=source,
        parts=parts,
        wish=operation,
        template=parse_template(DEFAULT_TEMPLATE),
        staging=source.path.parent / "staging",
        provenance={},
    )
    return treat(task, leave_untagged, Stopper(), lambda _share: None)


def leave_untagged(_song: Path, audio: Path, stem: Path, *_: object) -> None:
    if audio != stem:
        shutil.copyfile(audio, stem)


def read(path: Path) -> Signal:
    with open_reader(path) as reader:
        block: Signal = reader.read(10**7, "float64")
        # Opus has no 44.1 kHz.
        return block if reader.info.sample_rate == 44100 else soxr.resample(block, reader.info.sample_rate, 44100)


def gain_of(treated: Treated) -> float:
    (gain,) = {stem.gain for stem in treated.stems}
    return gain


def check_sums(source: Source, treated: Treated, chosen: AudioFormat) -> None:
    """Hold the sum of the four stems, and of each pair, against the song at the level of the stems."""
    song = read(source.path) * gain_of(treated)
    stems = {stem.name: read(stem.path) for stem in treated.stems}
    sums = [
        [stems[name] for name in STEMS],
        *([stems[one], stems[f"no-{one}"]] for one in STEMS if f"no-{one}" in stems),
    ]
    for parts in sums:
        if chosen.bits is not None:
            total = np.sum([to_integers(part, chosen.bits) for part in parts], axis=0)
            np.testing.assert_array_equal(total, to_integers(song, chosen.bits))
        elif chosen.is_float:
            np.testing.assert_allclose(np.sum(parts, axis=0), song, atol=2**-22 * np.abs(song).max())
        else:
            # The codecs' own errors, no clipping: that of +6 dB is -20 dB.
            error = np.sum(parts, axis=0)[: len(song)] - song
            assert 10 * np.log10(np.mean(error**2) / np.mean(song**2)) < -25


@pytest.mark.parametrize(("name", "level", "on_overload"), CASES)
def test_floats_at_any_level(tmp_path: Path, name: str, level: float, on_overload: OnOverload) -> None:
    source, chosen = make_source(tmp_path, level), FORMATS[name]
    is_over = level > 0 and not chosen.is_float
    if is_over and on_overload == "refuse":
        with pytest.raises(SourceError, match=rf"Song\.wav: peaks {level:.1f} dB over full scale do not fit"):
            require_fit(source, chosen, Stopper().check)
        return
    treated = separate(source, format=name, on_overload=on_overload, stems=STEMS, minus=["vocals"])
    notes = " ".join(treated.notes)
    is_float = is_over and on_overload == "float"
    check_sums(source, treated, FORMATS["wav32f"] if is_float else chosen)
    assert "clipped" not in notes
    assert ("written as" in notes) == is_float
    assert ("quieter than the song" in notes) == (gain_of(treated) != 1.0)
    assert (gain_of(treated) != 1.0) == (is_over and on_overload == "scale")
    suffix = {"w64_16": ".w64", "w64_24": ".w64"}.get(name, ".wav") if is_float else chosen.suffix
    assert {stem.path.suffix for stem in treated.stems} == {suffix}


@pytest.fixture(scope="module")
def loud_mp3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    loud = make_source(tmp_path_factory.mktemp("loud"), 6.0)
    return encode(loud.path, loud.path.with_suffix(".mp3"), "-b:a", "320k")


@pytest.mark.parametrize(
    ("name", "on_overload"),
    [(name, word) for name in KINDS for word in WORDS],
)
def test_a_lossy_source_that_decodes_over_full_scale(
    loud_mp3: Path, tmp_path: Path, name: str, on_overload: OnOverload
) -> None:
    source, chosen = inspect(Path(shutil.copy(loud_mp3, tmp_path))), FORMATS[name]
    assert np.abs(read(source.path)).max() > 1.5
    treated = separate(source, format=name, on_overload=on_overload, stems=STEMS, minus=["other"])
    notes = " ".join(treated.notes)
    if chosen.is_float or on_overload != "refuse":
        is_float = on_overload == "float" and not chosen.is_float
        check_sums(source, treated, FORMATS["wav32f"] if is_float else chosen)
        assert "clipped" not in notes
        assert ("quieter" in notes) == (on_overload == "scale" and not chosen.is_float)
        return
    assert "the song: " in notes
    assert "samples over full scale were clipped, as a player does" in notes
    if chosen.bits is not None:
        stems = {stem.name: to_integers(read(stem.path), chosen.bits) for stem in treated.stems}
        song = to_integers(read(source.path), chosen.bits)
        np.testing.assert_array_equal(np.sum([stems[name] for name in STEMS], axis=0), song)


@pytest.mark.parametrize("on_overload", WORDS)
@pytest.mark.parametrize("name", ["flac16", "m4a"])
def test_what_is_left_of_a_loud_master(tmp_path: Path, name: str, on_overload: OnOverload) -> None:
    """A song at full scale throughout: what is left without a stem can lie over it."""
    time = np.arange(44100)[:, None] / 44100
    song = np.clip(4 * np.sin(2 * np.pi * 440 * time) + 3 * make_song(1.0), -1, 1)
    source = inspect(write_samples(tmp_path / "Song.flac", song, subtype="PCM_16"))
    treated = separate(source, format=name, on_overload=on_overload, stems=STEMS, minus=STEMS)
    notes = " ".join(treated.notes)
    if on_overload == "refuse":
        assert "samples were clipped at" in notes
        assert "--on-overload scale or float keeps what was clipped" in notes
        return
    check_sums(source, treated, FORMATS["wav32f"] if on_overload == "float" else FORMATS[name])
    assert "clipped" not in notes
    assert ("quieter than the song" in notes) == (on_overload == "scale")
