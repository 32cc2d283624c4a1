"""A song of floats over full scale at a service: refused before it is paid for, never after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio_files import encode, make_song, read_samples, write_samples
from tests.end_to_end.bought_bench import Bench


@pytest.fixture
def loud(tmp_path: Path) -> Path:
    (tmp_path / "music").mkdir()
    samples = make_song(4.0)
    return write_samples(tmp_path / "music/Loud.wav", samples * 2 / np.abs(samples).max(), subtype="FLOAT")


@pytest.mark.parametrize("bench", ["mvsep"], indirect=True)
def test_a_loud_song_is_refused_until_it_is_bought(bench: Bench, loud: Path) -> None:
    code, _, err = bench.run(*bench.command, loud, "--format", "flac16")
    assert code == 1
    assert "Loud.wav: peaks 6.0 dB over full scale do not fit FLAC (16 bit)" in err
    assert bench.shop.paid == 0
    bench.buy(loud, "--format", "flac16", "--on-overload", "scale", "--residual")
    stems = loud.with_suffix(".stems")
    (job,) = [one for one in bench.jobs() if one["state"] == "done"]
    assert not any("clipped" in note for note in job["notes"])
    assert any("dB quieter than the song, so that flac16 holds them" in note for note in job["notes"])
    # The instrumental repeats what the others hold.
    total = np.sum([read_samples(path)[0] for path in stems.iterdir() if "Instrumental" not in path.name], axis=0)
    gain = np.abs(total).max() / 2
    np.testing.assert_allclose(total, gain * read_samples(loud)[0], atol=2**-14)
    bench.buy(loud, "--format", "flac16")
    bench.buy(loud, "--format", "wav24", "--on-overload", "float")
    folders = sorted(loud.parent.glob("Loud*.stems"))
    assert len(folders) == 3
    assert soundfile.info(next((loud.parent / "Loud (3).stems").glob("*Vocals*"))).subtype in ("FLOAT", "PCM_24")
    assert bench.shop.paid == 1


@pytest.mark.parametrize("bench", ["mvsep"], indirect=True)
def test_a_loud_song_comes_back_as_floats_where_the_service_has_them(bench: Bench, loud: Path) -> None:
    bench.buy(loud)
    (path,) = loud.with_suffix(".stems").glob("*Vocals*")
    assert soundfile.info(path).subtype == "FLOAT"
    assert bench.shop.paid == 1


@pytest.mark.parametrize("bench", ["mvsep", "tencent_ci"], indirect=True)
def test_what_was_clipped_of_a_lossy_song_for_the_upload_is_kept_with_the_job(bench: Bench, loud: Path) -> None:
    """The decoder of a loud MP3 gives more than full scale, and the service is sent 16 bits."""
    song = encode(loud, loud.with_suffix(".mp3"), "-b:a", "320k")
    loud.unlink()
    bench.buy(song)
    (job,) = [one for one in bench.jobs() if one["state"] == "done"]
    assert any("over full scale were clipped for the upload" in note for note in job["notes"])
