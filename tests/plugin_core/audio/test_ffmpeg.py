from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.audio.decoder import decode_command
from plugin_core.audio.ffmpeg import explain, quote_file, run_ffprobe
from plugin_core.errors import SourceError


@pytest.mark.parametrize("name", ["-i.m4a", "http:x.m4a", "a%03d.m4a", "pipe:0"])
def test_names_are_never_options_nor_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)

    assert quote_file(Path(name)) == f"file:{tmp_path}/{name}"
    assert f"file:{tmp_path}/{name}" in decode_command("ffmpeg", Path(name), "f32le")


def test_network_is_closed_to_what_a_file_may_refer_to() -> None:
    command = decode_command("ffmpeg", Path("a.m4a"), "f32le")

    assert command[command.index("-protocol_whitelist") + 1] == "file"


@pytest.mark.parametrize(
    ("stderr", "meaning"),
    [
        (b"", ""),
        (b"[alac @ 0x55605cd26440] Error : 590 bits left\n", ""),
        (b"\xff broken \xe9\n", ""),
        (b"[mov,mp4 @ 0x5] moov atom not found\nfile:/a.m4a: Invalid data found\n", "its index is missing"),
        (b"file:/songs/a.m4a: Permission denied\n", "ffmpeg may not read it"),
    ],
    ids=["nothing", "codec", "bytes", "index", "rights"],
)
def test_words_of_ffmpeg_are_told_in_ours_and_logged(
    stderr: bytes, meaning: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        assert explain(stderr, Path("/songs/a.m4a")) == meaning

    assert [stderr.decode("utf-8", "replace").strip() in line for line in caplog.messages] == [True] * bool(stderr)


def test_program_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"does not start \(Permission denied\); install ffmpeg"):
        run_ffprobe(str(tmp_path), tmp_path / "a.m4a")


def test_ffprobe_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffprobe"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr("plugin_core.audio.ffmpeg.PROBE_SECONDS", 0.05)

    with pytest.raises(SourceError, match=r"a\.m4a is not audio.*has no end"):
        run_ffprobe(str(program), tmp_path / "a.m4a")
