from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plugin_core.audio.formats import FORMATS
from plugin_core.audio.overload import require_fit
from plugin_core.errors import SourceError
from plugin_core.operations.song import inspect
from plugin_core.tasks import StoppedError, Stopper
from tests.audio_files import make_song, write_samples

LOUD = make_song(1.0) * (2.0 / np.abs(make_song(1.0)).max())


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("name", ["flac16", "flac24", "wav16", "w64_24", "mp3", "m4a", "opus"])
def test_a_float_source_over_full_scale_is_refused_with_its_peak_by_every_format_that_clips(
    tmp_path: Path, name: str, subtype: str
) -> None:
    source = inspect(write_samples(tmp_path / "Loud.wav", LOUD, subtype=subtype))
    chosen = FORMATS[name]
    kind = chosen.suffix[1:].upper()
    with pytest.raises(SourceError, match=rf"Loud\.wav: peaks 6\.0 dB over full scale do not fit {kind}"):
        require_fit(source, chosen, Stopper().check)


def test_what_fits_is_not_refused(tmp_path: Path) -> None:
    loud = inspect(write_samples(tmp_path / "Loud.wav", LOUD, subtype="FLOAT"))
    require_fit(loud, FORMATS["wav32f"], Stopper().check)
    full = inspect(write_samples(tmp_path / "Full.wav", LOUD / 2, subtype="FLOAT"))
    require_fit(full, FORMATS["mp3"], Stopper().check)
    lossy = inspect(write_samples(tmp_path / "Hot.ogg", LOUD, subtype="VORBIS"))
    require_fit(lossy, FORMATS["mp3"], Stopper().check)


def test_listening_stops_when_asked(tmp_path: Path) -> None:
    stopper = Stopper()
    stopper.request()
    with pytest.raises(StoppedError):
        require_fit(inspect(write_samples(tmp_path / "a.wav", LOUD, subtype="FLOAT")), FORMATS["mp3"], stopper.check)
