from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

from plugin_core.audio.probe import identify
from plugin_core.audio.reader import open_reader
from plugin_core.audio.samples import to_integers
from plugin_core.errors import PlacementError, TransientError
from plugin_core.files.checksum import is_unmodified
from plugin_core.files.disk import explain_write_error
from plugin_core.model import Part, Separation, Source
from plugin_core.operations.song import inspect
from plugin_core.stems import mix, verification
from plugin_core.stems.layout import parse_template, record_of
from plugin_core.stems.products import list_products
from plugin_core.stems.treatment import AS_IT_CAME, Treated, Treatment, treat
from plugin_core.tasks import StoppedError, Stopper
from plugin_core.wishes import DEFAULT_TEMPLATE
from tests.audio_files import encode, make_noise, make_song, make_stems, read_samples, write_samples
from tests.plugin_core.audio.library import tell_flac
from tests.plugin_core.stems.builders import make_exact_song

Tagged = list[tuple[Path, str, dict[str, str]]]


def run(
    source: Source,
    parts: Sequence[Part],
    *,
    template: str = DEFAULT_TEMPLATE,
    stopper: Stopper | None = None,
    tagged: Tagged | None = None,
    report: Callable[[float], None] = lambda share: None,
    **wish: object,
) -> Treated:
    def tag(song: Path, audio: Path, stem: Path, title: str, provenance: Mapping[str, str]) -> None:
        if audio != stem:
            shutil.copyfile(audio, stem)
        if tagged is not None:
            tagged.append((stem, title, dict(provenance)))

    staging = source.path.parent / "staging"
    task = Treatment(
        source=source,
        parts=tuple(parts),
        wish=msgspec.convert({"kind": "separation", "provider": "local", **wish}, Separation),
        template=parse_template(template),
        staging=staging,
        provenance={"job": "id1"},
    )
    return treat(task, tag, stopper or Stopper(), report)


def integers(path: Path, bits: int = 16) -> npt.NDArray[np.int64]:
    samples, _ = soundfile.read(path, dtype="int32", always_2d=True)
    wide: npt.NDArray[np.int64] = samples.astype(np.int64) >> (32 - bits)
    return wide


def by_name(treated: Treated) -> dict[str, Path]:
    return {stem.name: stem.path for stem in treated.stems}


def loosen(parts: Sequence[Part]) -> list[Part]:
    return [msgspec.structs.replace(part, exact=False) for part in parts]


def test_finished_parts_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, parts = make_exact_song(tmp_path)
    monkeypatch.setattr(mix, "open_writer", None)
    tagged: Tagged = []
    treated = run(source, parts, tagged=tagged)
    (root,) = (tmp_path / "staging").glob("ready-1-*/Song.stems")
    assert [stem.path for stem in treated.stems] == [
        root / f"Song - {title}.flac" for title in ("Vocals", "Drums", "Bass", "Other")
    ]
    for stem, part in zip(treated.stems, parts, strict=True):
        assert stem.path.read_bytes() == part.path.read_bytes()
        assert is_unmodified(stem.path, record_of(stem))
    assert treated.notes == ()
    assert tagged[0] == (root / "Song - Vocals.flac", "Vocals", {"job": "id1", "stem": "vocals"})


def test_flac_whose_header_counts_too_few_samples_gives_stems_of_the_whole_song(tmp_path: Path) -> None:
    whole, parts = make_exact_song(tmp_path, seconds=12.0)
    data = bytearray(whole.path.read_bytes())
    tell_flac(data, 6 * 44100)
    whole.path.write_bytes(data)

    source = inspect(whole.path)
    treated = run(source, parts)

    assert source.frames == 12 * 44100
    assert {len(integers(path)) for path in by_name(treated).values()} == {12 * 44100}
    assert treated.notes == ("Song.flac is 0:12.0 long, though its header says 0:06.0: all that it holds was read",)


def test_vocals_and_the_instrumental_they_leave_sum_to_the_bit(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    tagged: Tagged = []
    treated = run(source, parts, stems=["instrumental", "vocals"], tagged=tagged)
    assert treated.notes == ()
    stems = by_name(treated)
    assert [path.name for path in stems.values()] == ["Song - Vocals.flac", "Song - Instrumental.flac"]
    assert [provenance["stem"] for _, _, provenance in tagged] == ["vocals", "instrumental"]
    np.testing.assert_array_equal(sum(map(integers, stems.values())), integers(source.path))


def test_an_instrumental_that_came_back_is_not_made_again() -> None:
    parts = [Part(stem=stem, label=stem, path=Path(stem)) for stem in ("vocals", "instrumental")]
    products, notes = list_products(parts, Separation(provider="fake", stems=("vocals", "instrumental")))
    assert [(product.name, product.plus) for product in products] == [("vocals", 0), ("instrumental", 1)]
    assert notes == []


def test_only_wanted_stems_minus_and_residual_to_the_bit(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    stems = by_name(run(source, parts, stems=["Vocal"], minus=["drums", "bass"], residual=True))
    assert list(stems) == ["vocals", "no-drums", "no-bass", "residual"]
    song = integers(source.path)
    assert stems["no-drums"].name == "Song - No Drums.flac"
    np.testing.assert_array_equal(integers(stems["no-drums"]) + integers(parts[1].path), song)
    np.testing.assert_array_equal(integers(stems["no-bass"]) + integers(parts[2].path), song)
    assert not integers(stems["residual"]).any()


@pytest.mark.parametrize("bits", [16, 24])
def test_residual_of_rough_parts_completes_the_sum(tmp_path: Path, bits: int) -> None:
    source = inspect(write_samples(tmp_path / "Song.wav", make_song(1.0), subtype=f"PCM_{bits}"))
    parts = [
        Part(
            stem=name,
            label=name,
            path=write_samples(tmp_path / f"{name}.wav", stem * 0.9, subtype="FLOAT"),
        )
        for name, stem in make_stems(1.0).items()
    ]
    stems = by_name(run(source, parts, residual=True))
    residual = integers(stems.pop("residual"), bits)
    assert residual.any()
    total = sum((integers(path, bits) for path in stems.values()), start=residual)
    np.testing.assert_array_equal(total, integers(source.path, bits))


def test_overflow_is_clipped_and_said(tmp_path: Path) -> None:
    loud = np.full((4410, 1), 0.9)
    source = inspect(write_samples(tmp_path / "Song.flac", loud, subtype="PCM_16"))
    part = Part(stem="drums", label="Drums", path=write_samples(tmp_path / "d.flac", -loud, subtype="PCM_16"))
    treated = run(source, [part], minus=["drums"])
    assert "No Drums: 4410 samples were clipped at 16 bits" in treated.notes
    assert (integers(by_name(treated)["no-drums"]) == 32767).all()


@pytest.mark.parametrize("lag", [1105, -700])
def test_offset_is_removed_to_the_sample_and_said(tmp_path: Path, lag: int) -> None:
    source, parts = make_exact_song(tmp_path, 2.0)
    for part in parts:
        samples, rate = read_samples(part.path)
        moved = np.pad(samples, ((lag, 578), (0, 0))) if lag > 0 else samples[-lag:]
        write_samples(part.path, moved, rate)
    original = make_exact_song(tmp_path / "again", 2.0)[1]
    treated = run(source, loosen(parts))
    assert f"removed an offset of {lag} samples against the source" in treated.notes
    assert [note for note in treated.notes if "at the end" in note] == (
        ["cut 578 samples at the end to the source's length"] if lag > 0 else []
    )
    for stem, part in zip(treated.stems, original, strict=True):
        got, wanted = integers(stem.path), integers(part.path)
        assert len(got) == 88200
        start = max(0, -lag)
        np.testing.assert_array_equal(got[start:], wanted[start:])
        assert not got[:start].any()


@pytest.mark.parametrize("late", [24, -1, 1105])
def test_one_late_stem_is_moved_and_the_good_ones_stay(tmp_path: Path, late: int) -> None:
    source, parts = make_exact_song(tmp_path, 6.0)
    for path in (source.path, *(part.path for part in parts)):
        write_samples(path, np.tile(integers(path), (4, 1)).astype(np.int16))
    source = inspect(source.path)
    wanted = {part.stem: integers(part.path) for part in parts}
    drums = parts[1].path
    moved = np.zeros_like(wanted["drums"])
    moved[max(0, late) : len(moved) + min(0, late)] = wanted["drums"][max(0, -late) : len(moved) - max(0, late)]
    write_samples(drums, moved.astype(np.int16))
    treated = run(source, loosen(parts))
    unit = "sample" if late == -1 else "samples"
    assert f"Drums: removed an offset of {late} {unit} against the source" in treated.notes
    for name, path in by_name(treated).items():
        got, true = integers(path), wanted[name]
        if name == "drums":
            # What was cut off at an edge is gone.
            got, true = got[1105:-1105], true[1105:-1105]
        np.testing.assert_array_equal(got, true)


def test_a_late_part_of_another_sample_rate_is_moved(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path, 10.0)
    drums = parts[1]
    samples = soxr.resample(np.pad(read_samples(drums.path)[0], ((1105, 0), (0, 0))), 44100, 48000)
    write_samples(drums.path, samples, 48000)
    treated = run(source, loosen(parts))
    assert "Drums: removed an offset of 1105 samples against the source" in treated.notes


def test_parts_that_are_promised_exact_are_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, parts = make_exact_song(tmp_path)
    monkeypatch.setattr(verification, "LagMeter", None)
    assert run(source, parts).notes == ()


def test_residual_of_a_late_stem_is_made_of_it_in_its_place(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path, 10.0)
    drums = parts[1].path
    write_samples(drums, np.pad(integers(drums)[:-24], ((24, 0), (0, 0))).astype(np.int16))
    residual = by_name(run(source, loosen(parts), residual=True))["residual"]
    assert not integers(residual)[:-24].any()


@pytest.mark.parametrize("name", ["flac16", "wav24", "mp3", "m4a", "ogg", "opus"])
def test_hot_parts_of_a_service_are_clipped_and_counted_in_every_format(tmp_path: Path, name: str) -> None:
    source, parts = make_exact_song(tmp_path, 4.0)
    hot, rate = read_samples(parts[1].path)
    hot *= 2.0 / np.abs(hot).max()
    write_samples(parts[1].path.with_suffix(".wav"), hot, rate, "FLOAT")
    parts[1] = msgspec.structs.replace(parts[1], path=parts[1].path.with_suffix(".wav"))
    count = np.count_nonzero(np.abs(hot.astype(np.float32)) > 1)
    where = {"flac16": "16 bits", "wav24": "24 bits"}.get(name, "full scale")
    note = f"Drums: {count} samples were clipped at {where}"
    assert note in run(source, loosen(parts), format=name).notes
    if where != "full scale":
        # What is subtracted is clipped as it would be written.
        assert note in run(source, loosen(parts), format=name, minus=["drums"]).notes
    assert not [note for note in run(source, loosen(parts), format="wav32f").notes if "clipped" in note]


@pytest.mark.parametrize("name", ["flac16", "mp3", "m4a", "ogg", "opus"])
def test_minus_of_a_loud_master_is_clipped_and_said_in_every_format(tmp_path: Path, name: str) -> None:
    loud = np.full((44100, 1), 0.9)
    source = inspect(write_samples(tmp_path / "Song.flac", loud, subtype="PCM_16"))
    part = Part(stem="drums", label="Drums", path=write_samples(tmp_path / "d.flac", -loud, subtype="PCM_16"))
    where = "16 bits" if name == "flac16" else "full scale"
    for more in ({"minus": ["drums"]}, {"residual": True}):
        title = "No Drums" if "minus" in more else "Residual"
        assert f"{title}: 44100 samples were clipped at {where}" in run(source, [part], format=name, **more).notes


@pytest.mark.parametrize("name", ["flac24", "mp3"])
def test_a_hot_lossy_source_is_clipped_and_counted(tmp_path: Path, name: str) -> None:
    """The stems of the embedded separator sum to the clipped source, whatever they are written as."""
    loud = write_samples(tmp_path / "loud.wav", make_song(4.0) * 2.5, subtype="FLOAT")
    source = inspect(encode(loud, tmp_path / "Song.mp3", "-b:a", "320k"))
    with open_reader(source.path) as reader:
        whole = reader.read(10**7, dtype="float64")
    count = np.count_nonzero(np.abs(whole) > 1)
    assert count
    clipped = to_integers(whole, 24)
    half = clipped // 2
    parts = [
        Part(
            stem=stem, label=stem, path=write_samples(tmp_path / f"{stem}.flac", one << 8, subtype="PCM_24"), exact=True
        )
        for stem, one in (("vocals", half), ("other", clipped - half))
    ]
    note = f"the song: {count} samples over full scale were clipped, as a player does"
    assert note in run(source, parts, format=name).notes
    if name == "flac24":
        rest = run(source, loosen(parts), format=name, residual=True)
        assert note in rest.notes
        assert not integers(by_name(rest)["residual"], 24).any()


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize(
    ("seconds", "frames", "said"),
    [
        (5.0, 352800, "3.00 s shorter than the song, padded at the end"),
        (12.0, 352800, "4.00 s longer than the song, cut at the end"),
        (2.0, 88200, "6.00 s shorter than the song, left so"),
        (20.0, 882000, "12.00 s longer than the song, left so"),
    ],
)
def test_a_paid_result_of_another_length_is_placed_and_said(
    tmp_path: Path, seconds: float, frames: int, said: str, rate: int
) -> None:
    source, _ = make_exact_song(tmp_path, 8.0)
    path = write_samples(tmp_path / "v.wav", soxr.resample(make_song(seconds), 44100, rate), rate, "PCM_16")
    treated = run(source, [Part(stem="vocals", label="v", path=path)])
    assert f"Vocals: {said}" in treated.notes
    samples, made = read_samples(by_name(treated)["vocals"])
    assert (len(samples), made) == (frames, 44100)


def test_a_stem_of_another_length_is_kept_beside_those_that_fit(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path, 6.0)
    write_samples(parts[0].path, np.pad(integers(parts[0].path), ((1105, 44100 * 6), (0, 0))).astype(np.int16))
    treated = run(source, loosen(parts), minus=["vocals", "drums"], stems=["vocals", "drums"])
    assert list(by_name(treated)) == ["vocals", "drums", "no-drums"]
    assert "No Vocals: cannot be made, Vocals has another shape than the song" in treated.notes
    # Moved to its place, all that follows is kept.
    assert "Vocals: 6.00 s longer than the song, left so" in treated.notes
    assert len(integers(by_name(treated)["vocals"])) == 12 * 44100
    assert len(integers(by_name(treated)["no-drums"])) == 6 * 44100


def test_silent_stems_are_said_unless_the_song_is(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    quiet = np.zeros((44100, 2))
    quiet[::2] = 1 / 32768
    write_samples(parts[0].path, quiet)
    assert "Vocals: silent" in run(source, loosen(parts)).notes
    assert not [note for note in run(source, loosen(parts), stems=["bass"]).notes if "silent" in note]
    for path in (source.path, *(part.path for part in parts)):
        write_samples(path, quiet)
    assert not [note for note in run(inspect(source.path), loosen(parts)).notes if "silent" in note]


def test_lengths_are_made_the_source_s(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path, 1.0)
    for number, part in enumerate(parts):
        samples, rate = read_samples(part.path)
        write_samples(part.path, np.pad(samples, ((0, 300), (0, 0))) if number else samples[:-200], rate)
    treated = run(source, loosen(parts))
    assert {len(integers(stem.path)) for stem in treated.stems} == {44100}
    assert {note for note in treated.notes if "at the end" in note} == {
        "cut 300 samples at the end to the source's length",
        "padded 200 samples at the end to the source's length",
    }


def test_rate_and_mono_are_restored(tmp_path: Path) -> None:
    stems = make_stems(1.5, 48000, 1)
    song = np.sum(list(stems.values()), axis=0)
    source = inspect(write_samples(tmp_path / "Song.wav", song, 48000, "PCM_24"))
    parts = []
    for name in stems:
        stereo = make_stems(1.5, 44100, 1)[name].repeat(2, axis=1)
        path = write_samples(tmp_path / f"{name}.wav", stereo, 44100, "PCM_24")
        parts.append(Part(stem=name, label=name, path=path))
    treated = run(source, parts, stems=["bass"], format="wav24")
    samples, rate = read_samples(by_name(treated)["bass"])
    assert (rate, samples.shape) == (48000, (72000, 1))
    assert np.abs(samples - stems["bass"])[1000:-1000].max() < 2e-3
    assert "restored the source's 48000 Hz from 44100 Hz and the source's 1 channels from 2" in treated.notes
    assert soundfile.info(by_name(treated)["bass"]).subtype == "PCM_24"


def test_level_is_never_changed(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    stems = by_name(run(source, parts, format="wav32f"))
    for part in parts:
        np.testing.assert_array_equal(read_samples(stems[part.stem])[0], read_samples(part.path)[0])


def test_lossy_result_in_the_wanted_format_is_not_encoded_again(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    lossy = [
        Part(stem=part.stem, label=part.label, path=encode(part.path, part.path.with_suffix(".mp3"))) for part in parts
    ]
    treated = run(source, lossy, format="mp3")
    assert [stem.path.read_bytes() for stem in treated.stems] == [part.path.read_bytes() for part in lossy]
    assert treated.notes == ()


@pytest.mark.parametrize("wanted", ["ogg", "opus"])
def test_an_ogg_is_encoded_again_only_into_another_codec(tmp_path: Path, wanted: str) -> None:
    source, parts = make_exact_song(tmp_path, sample_rate=48_000)
    vorbis = [
        Part(stem=part.stem, label=part.label, path=encode(part.path, part.path.with_suffix(".ogg"))) for part in parts
    ]
    stems = run(source, vorbis, format=wanted).stems
    are_equal = [stem.path.read_bytes() == part.path.read_bytes() for stem, part in zip(stems, vorbis, strict=True)]
    assert are_equal == [wanted == "ogg"] * len(parts)
    assert {identify(stem.path).codec for stem in stems} == {"vorbis" if wanted == "ogg" else "opus"}


def test_treating_again_gives_the_same_and_leaves_the_other_alone(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    first = run(source, parts, minus=["vocals"])
    second = run(source, parts, minus=["vocals"])
    assert [(stem.name, record_of(stem)) for stem in first.stems] == [
        (stem.name, record_of(stem)) for stem in second.stems
    ]
    for stem in (*first.stems, *second.stems):
        assert is_unmodified(stem.path, record_of(stem))
    assert {stem.path for stem in first.stems}.isdisjoint(stem.path for stem in second.stems)


def test_other_song_is_refused(tmp_path: Path) -> None:
    source = inspect(write_samples(tmp_path / "Song.wav", make_noise(100_000, seed=1)))
    parts = [
        Part(stem=name, label=name, path=write_samples(tmp_path / f"{name}.wav", make_noise(100_000, seed=seed)))
        for seed, name in enumerate(("vocals", "other"), 2)
    ]
    with pytest.raises(PlacementError, match="not of this song"):
        run(source, parts)


def test_what_is_taken_as_it_is_comes_byte_for_byte_whatever_it_is(tmp_path: Path) -> None:
    source = inspect(write_samples(tmp_path / "Song.wav", make_noise(100_000, seed=1)))
    speech = write_samples(tmp_path / "part-0.wav", make_noise(3000, seed=2)[:, :1], sample_rate=24000)
    other = write_samples(tmp_path / "part-1.wav", make_noise(100_000, seed=3))
    broken = tmp_path / "part-2.flac"
    broken.write_bytes(b"fLaC" + bytes(100))
    files = {"speech": speech, "other": other, "noise": broken}
    parts = [Part(stem=name, label=name, path=path) for name, path in files.items()]
    tagged: Tagged = []
    treated = run(source, parts, as_is=True, format="flac24", tagged=tagged)
    assert {stem.name: stem.path.read_bytes() for stem in treated.stems} == {
        name: path.read_bytes() for name, path in files.items()
    }
    assert [stem.path.name for stem in treated.stems] == ["Song - Speech.wav", "Song - Other.wav", "Song - Noise.flac"]
    assert tagged == []
    assert treated.notes[0] == AS_IT_CAME
    assert len(treated.notes) == 2
    assert "the fetched part Noise of Song.wav is unusable" in treated.notes[1]
    assert [stem.name for stem in run(source, parts, as_is=True, stems=["other"]).stems] == ["other"]
    missed = run(source, parts, as_is=True, stems=["drums"])
    assert (len(missed.stems), missed.notes[1]) == (3, "no drums came back, only speech, other, noise")


def test_wishes_that_cannot_be_met(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    with pytest.raises(PlacementError, match=r"none of the wanted stems, only vocals, drums, bass, other"):
        run(source, parts, stems=["piano"])
    with pytest.raises(PlacementError, match="piano cannot be subtracted"):
        run(source, parts, minus=["piano"])
    assert "no piano came back, only vocals, drums, bass, other" in run(source, parts, stems=["piano", "bass"]).notes


def test_equal_labels_stay_apart(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    same = [msgspec.structs.replace(part, stem="Vocals", exact=False) for part in parts]
    assert [stem.name for stem in run(source, same).stems] == ["vocals", "vocals-2", "vocals-3", "vocals-4"]


def test_surround_source_with_stereo_parts(tmp_path: Path) -> None:
    source = inspect(write_samples(tmp_path / "Song.wav", make_song(1.0, channels=6), subtype="PCM_16"))
    part = Part(stem="vocals", label="v", path=write_samples(tmp_path / "v.wav", make_song(1.0), subtype="PCM_16"))
    kept = run(source, [part])
    assert read_samples(by_name(kept)["vocals"])[0].shape == (44100, 2)
    assert "Vocals: has 2 channels of the song's 6, left so" in kept.notes
    for wish in ({"residual": True}, {"minus": ["vocals"]}):
        treated = run(source, [part], **wish)
        assert list(by_name(treated)) == ["vocals"]
        assert [note for note in treated.notes if "cannot be made, Vocals has another shape than the song" in note]


def test_stops_between_blocks(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    stopper = Stopper()
    stopper.request()
    with pytest.raises(StoppedError):
        run(source, parts, stopper=stopper)


def test_stops_between_stems(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    stopper = Stopper()

    class Tags(list[tuple[Path, str, dict[str, str]]]):
        def append(self, one: tuple[Path, str, dict[str, str]]) -> None:
            super().append(one)
            stopper.request()

    tagged = Tags()
    with pytest.raises(StoppedError):
        run(source, parts, stopper=stopper, tagged=tagged)
    assert len(tagged) == 1


def test_what_is_computed_is_reported_as_it_goes_on(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path, 4.0, channels=1)
    shares: list[float] = []
    run(source, parts, minus=["drums"], report=shares.append)
    assert shares == sorted(shares) and shares[0] == 0.0 and 0.5 < shares[-1] <= 1.0


def test_flat_template(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    treated = run(source, parts, template="{name} [{stem}] ({provider}).{ext}", stems=["bass"])
    assert [treated.stems[0].path] == list((tmp_path / "staging").glob("ready-0-*/Song [[]Bass] (local).flac"))


def test_results_that_are_no_audio_are_staged_as_they_came(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    midi = [tmp_path / "parts" / "notes.mid", tmp_path / "parts" / "more.mid"]
    for number, path in enumerate(midi):
        path.write_bytes(b"MThd" + bytes([number]))
    extras = [Part(stem="piano", label="Piano", path=path, is_audio=False) for path in midi]
    tagged: Tagged = []
    treated = run(source, [*parts, *extras], tagged=tagged)
    found = by_name(treated)
    assert [found[name].read_bytes() for name in ("piano", "piano-2")] == [path.read_bytes() for path in midi]
    assert found["piano"].name == "Song - Piano.mid"
    assert {stem.gain for stem in treated.stems} == {1.0}
    assert {path.suffix for path, _, _ in tagged} == {".flac"}
    assert set(found) == {*(part.stem for part in parts), "piano", "piano-2"}


def test_a_result_without_any_audio_is_a_result(tmp_path: Path) -> None:
    source, _ = make_exact_song(tmp_path)
    text = tmp_path / "parts" / "words.txt"
    text.write_text("la la", encoding="utf-8")
    treated = run(source, [Part(stem="transcription", label="Text", path=text, is_audio=False)], stems=("vocals",))
    assert [(stem.name, stem.path.read_text(encoding="utf-8")) for stem in treated.stems] == [
        ("transcription", "la la")
    ]


def test_no_part_at_all_is_no_result(tmp_path: Path) -> None:
    source, _ = make_exact_song(tmp_path)
    with pytest.raises(PlacementError):
        run(source, [])


def test_a_mix_of_other_parts_is_not_subtracted_twice(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    mixed = np.add.reduce([integers(part.path) for part in parts if part.stem != "vocals"])
    mix_path = write_samples(tmp_path / "parts" / "mix.flac", mixed.astype(np.int16), 44100)
    mix_part = Part(stem="instrumental", label="Instrum", path=mix_path)
    parts = [msgspec.structs.replace(part, exact=False) for part in parts]
    residual = by_name(run(source, [*parts, mix_part], residual=True, format="flac16"))["residual"]
    assert not integers(residual).any()
    alone = by_name(run(source, [part for part in parts if part.stem == "vocals"] + [mix_part], residual=True))
    assert not integers(alone["residual"]).any()


@pytest.mark.parametrize("name", ["flac16", "mp3"])
def test_hot_parts_of_a_service_are_scaled_by_one_gain_or_kept_as_floats(tmp_path: Path, name: str) -> None:
    source, parts = make_exact_song(tmp_path, 4.0)
    hot, rate = read_samples(parts[1].path)
    hot *= 2.0 / np.abs(hot).max()
    path = write_samples(tmp_path / "hot.wav", hot, rate, "FLOAT")
    parts[1] = msgspec.structs.replace(parts[1], path=path)
    scaled = run(source, loosen(parts), format=name, on_overload="scale", stems=["drums", "bass"])
    assert {round(20 * np.log10(stem.gain), 6) for stem in scaled.stems} == {-6.1}
    assert not [note for note in scaled.notes if "clipped" in note]
    kept = run(source, loosen(parts), format=name, on_overload="float", stems=["drums"])
    np.testing.assert_array_equal(read_samples(by_name(kept)["drums"])[0], hot.astype(np.float32))


def test_a_part_that_came_as_quiet_as_it_is_to_be_is_not_encoded_again(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path)
    hot, rate = read_samples(parts[1].path)
    gain = 10 ** (-6.1 / 20)
    path = write_samples(tmp_path / "quiet.flac", hot * (2.0 / np.abs(hot).max() * gain), rate)
    parts[1] = msgspec.structs.replace(parts[1], path=path, gain=gain)
    treated = run(source, loosen(parts), format="flac16", on_overload="scale", stems=["drums"])
    assert by_name(treated)["drums"].read_bytes() == path.read_bytes()
    assert treated.stems[0].gain == gain


def test_parts_that_only_together_lie_over_full_scale_are_scaled(tmp_path: Path) -> None:
    stem = make_noise(44_100, peak=0.8)
    source = inspect(write_samples(tmp_path / "Song.wav", 2 * stem, subtype="FLOAT"))
    path = write_samples(tmp_path / "half.wav", stem, subtype="FLOAT")
    parts = [Part(stem=name, label=name, path=path, exact=True) for name in ("vocals", "other")]
    treated = run(source, parts, format="wav16", on_overload="scale")
    assert {round(20 * np.log10(stem.gain), 6) for stem in treated.stems} == {-4.1}


def test_stems_that_were_scaled_are_brought_back_to_the_song_s_level(tmp_path: Path) -> None:
    source, parts = make_exact_song(tmp_path, 4.0)
    loose = []
    for part in loosen(parts):
        samples, rate = read_samples(part.path)
        path = write_samples(tmp_path / f"{part.stem}.wav", samples / 4, rate, "FLOAT")
        loose.append(msgspec.structs.replace(part, path=path, gain=0.25))
    treated = run(source, loose, residual=True)
    for part in parts:
        np.testing.assert_array_equal(integers(by_name(treated)[part.stem]), integers(part.path))
    assert not integers(by_name(treated)["residual"]).any()


def test_a_disk_that_fills_up_is_told_by_the_place_of_the_stem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, parts = make_exact_song(tmp_path)

    def fill(path: Path, **_: object) -> None:
        raise explain_write_error(path, OSError(errno.ENOSPC, "full"))

    monkeypatch.setattr(mix, "open_writer", fill)
    with pytest.raises(TransientError) as caught:
        run(source, parts, minus=["drums"])
    place = tmp_path / "Song.stems" / "Song - No Drums.flac"
    assert caught.value.message == f"{place} cannot be written: no space left on the disk"
