from __future__ import annotations

import asyncio
from pathlib import Path

from plugin_core.audio.probe import probe
from plugin_core.model import Progress
from plugin_core.providers.mvsep.upload import prepare_upload
from tests.audio_files import write_song
from tests.plugin_core.providers.mvsep.fakes import make_order


def test_the_jobs_folder_holds_what_is_sent(tmp_path: Path) -> None:
    folder = tmp_path / "staging"
    folder.mkdir()
    said: list[Progress] = []
    upload = asyncio.run(prepare_upload(make_order(folder, write_song(tmp_path / "Song.wav", 0.5)), said.append))
    assert list(folder.iterdir()) == [upload.path]
    assert probe(upload.path).container == "FLAC"
    assert (said[-1].fraction, said[-1].note) == (1.0, "preparing the upload")
