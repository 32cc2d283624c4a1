from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_core.audio.probe import probe
from plugin_core.errors import SourceError, TransientError
from tests.audio_files import encode, make_noise, truncate, write_samples, write_song

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")


def no_program(name: str) -> None:
    return None


def refuse(path: Path, *, with_ffmpeg: bool = True) -> str:
    with pytest.raises(SourceError) as caught:
        probe(path) if with_ffmpeg else probe(path, which=no_program)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name.encode("utf-8", "backslashreplace").decode() in text
    return text


@pytest.mark.parametrize(
    ("name", "subtype", "encoding", "container"),
    [
        ("a.wav", "PCM_U8", "pcm_u8", "WAV"),
        ("a.wav", "PCM_16", "pcm_16", "WAV"),
        ("a.wav", "PCM_24", "pcm_24", "WAV"),
        ("a.wav", "PCM_32", "pcm_32", "WAV"),
        ("a.wav", "FLOAT", "float", "WAV"),
        ("a.wav", "DOUBLE", "double", "WAV"),
        ("a.wav", "ULAW", "lossy", "WAV"),
        ("a.wav", "MS_ADPCM", "lossy", "WAV"),
        ("a.flac", "PCM_S8", "pcm_s8", "FLAC"),
        ("a.flac", "PCM_16", "pcm_16", "FLAC"),
        ("a.flac", "PCM_24", "pcm_24", "FLAC"),
        ("a.aif", "PCM_24", "pcm_24", "AIFF"),
        ("a.w64", "PCM_24", "pcm_24", "W64"),
        ("a.rf64", "PCM_16", "pcm_16", "RF64"),
        ("a.caf", "PCM_16", "pcm_16", "CAF"),
        ("a.caf", "ALAC_24", "pcm_24", "CAF"),
        ("a.au", "PCM_16", "pcm_16", "AU"),
        ("a.ogg", "VORBIS", "lossy", "OGG"),
        ("a.mp3", "MPEG_LAYER_III", "lossy", "MP3"),
    ],
)
def test_libsndfile_describes_what_it_knows(
    tmp_path: Path, name: str, subtype: str, encoding: str, container: str
) -> None:
    info = probe(write_song(tmp_path / name, 0.5, subtype=subtype), which=no_program)

    assert (info.encoding, info.container, info.channels, info.sample_rate) == (encoding, container, 2, 44100)
    assert info.frames == pytest.approx(22050, abs=1024 if subtype == "MS_ADPCM" else 0)
    assert info.duration == info.frames / 44100
    assert info.decoder == "libsndfile"


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options", "encoding", "container", "frames"),
    [
        ("a.m4a", ("-c:a", "aac"), "lossy", "M4A", 22050),
        ("a.m4a", ("-c:a", "alac"), "pcm_16", "M4A", 22050),
        ("a.m4a", ("-c:a", "alac", "-sample_fmt", "s32p"), "pcm_24", "M4A", 22050),
        ("a.aac", ("-c:a", "aac"), "lossy", "AAC", 0),
        ("a.wma", ("-c:a", "wmav2"), "lossy", "WMA", 0),
        ("a.mka", ("-c:a", "libvorbis"), "lossy", "MKV", 0),
        ("a.tta", ("-c:a", "tta"), "pcm_16", "TTA", 22050),
    ],
    ids=["aac", "alac16", "alac24", "adts", "wma", "matroska", "tta"],
)
def test_ffprobe_describes_the_rest(
    tmp_path: Path, name: str, options: tuple[str, ...], encoding: str, container: str, frames: int
) -> None:
    info = probe(encode(write_song(tmp_path / "s.wav", 0.5), tmp_path / name, *options))

    assert (info.encoding, info.container, info.channels, info.sample_rate) == (encoding, container, 2, 44100)
    assert info.frames == frames
    assert info.duration == pytest.approx(0.5, abs=0.1)
    assert info.decoder == "ffmpeg"


@needs_ffmpeg
def test_first_audio_stream_of_a_video_is_taken(tmp_path: Path) -> None:
    song = write_song(tmp_path / "s.wav", 1.0, 48000)
    video = encode(song, tmp_path / "v.mp4", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-map", "1:v", "-map", "0:a")

    info = probe(video)

    assert (info.channels, info.sample_rate, info.decoder) == (2, 48000, "ffmpeg")


@pytest.mark.parametrize("sample_rate", [8000, 11025, 22050, 48000, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_rates_and_channels_within_the_limits_pass(tmp_path: Path, sample_rate: int, channels: int) -> None:
    info = probe(write_samples(tmp_path / "a.flac", make_noise(2000, channels), sample_rate), which=no_program)

    assert (info.sample_rate, info.channels, info.frames) == (sample_rate, channels, 2000)


@pytest.mark.parametrize("sample_rate", [7999, 192001, 384000, 4000])
def test_rates_beyond_the_limits_are_refused(tmp_path: Path, sample_rate: int) -> None:
    assert "8 to 192 kHz" in refuse(write_samples(tmp_path / "a.wav", make_noise(9000), sample_rate))


def test_twenty_four_channels_are_refused(tmp_path: Path) -> None:
    assert "24 channels; at most 8" in refuse(write_samples(tmp_path / "a.wav", make_noise(4410, 24)))


def test_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in refuse(tmp_path / "gone.wav")
    (tmp_path / "file").write_bytes(b"x")
    assert "does not exist" in refuse(tmp_path / "file" / "below.wav")


def test_folder(tmp_path: Path) -> None:
    assert "is a folder" in refuse(tmp_path)


def test_dangling_and_circular_links(tmp_path: Path) -> None:
    (tmp_path / "to-nothing.wav").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")

    assert "does not exist" in refuse(tmp_path / "to-nothing.wav")
    assert "leads back to itself" in refuse(tmp_path / "loop.wav")


def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")

    assert "is a pipe" in refuse(tmp_path / "pipe.wav")


def test_socket_and_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)
        listener.bind("s.wav")
        assert "is a socket" in refuse(tmp_path / "s.wav")
    assert "is a device" in refuse(Path("/dev/zero"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = write_song(tmp_path / "a.wav", 0.1)
    path.chmod(0)

    assert "may not be read; check its permissions" in refuse(path)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [(13, SourceError, "may not be read"), (5, TransientError, "cannot be read now"), (116, TransientError, "now")],
    ids=["EACCES", "EIO", "ESTALE"],
)
def test_system_errors_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception], words: str
) -> None:
    path = write_song(tmp_path / "a.wav", 0.1)

    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("plugin_core.audio.source_file.os.open", fail)

    with pytest.raises(kind, match=words):
        probe(path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()

    assert "is empty (0 bytes)" in refuse(tmp_path / "a.wav")


TEXT = b"Verse 1\nIt was a dark and stormy night\n" * 400


@pytest.mark.parametrize("with_ffmpeg", [pytest.param(True, marks=needs_ffmpeg), False], ids=["ffmpeg", "without"])
@pytest.mark.parametrize("name", ["t.wav", "t.mp3", "t.flac", "t.au", "t.vox", "t.gsm", "t.raw", "t.ogg", "t.txt"])
@pytest.mark.parametrize("content", [TEXT, bytes(9000)], ids=["text", "zeros"])
def test_what_is_not_audio(tmp_path: Path, name: str, content: bytes, with_ffmpeg: bool) -> None:
    (tmp_path / name).write_bytes(content)

    said = refuse(tmp_path / name, with_ffmpeg=with_ffmpeg)

    assert "not audio" in said or "no audio" in said
    assert with_ffmpeg or "install ffmpeg" in said


@needs_ffmpeg
def test_playlists_are_no_audio(tmp_path: Path) -> None:
    song = encode(write_song(tmp_path / "s.wav", 0.5), tmp_path / "s.ts", "-c:a", "aac")
    (tmp_path / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\n{song.name}\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile s.wav\n")

    refuse(tmp_path / "list.m3u8")
    refuse(tmp_path / "list.ffconcat")


@needs_ffmpeg
def test_picture_and_silent_video(tmp_path: Path) -> None:
    song = write_song(tmp_path / "s.wav", 0.2)
    video = encode(song, tmp_path / "v.mp4", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-map", "1:v")
    picture = encode(
        song, tmp_path / "p.png", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-map", "1:v", "-vframes", "1"
    )

    assert "no audio" in refuse(video)
    assert "no audio" in refuse(picture) or "not audio" in refuse(picture)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.w64"])
@pytest.mark.parametrize("frames", [1, 100, 440])
def test_too_short_file(tmp_path: Path, name: str, frames: int) -> None:
    said = refuse(write_samples(tmp_path / name, make_noise(frames)))

    assert f"too short to separate: it has {frames} samples a channel, 441 (10 ms) are needed" in said


def test_ten_milliseconds_are_enough(tmp_path: Path) -> None:
    assert probe(write_samples(tmp_path / "a.wav", make_noise(441))).frames == 441


@pytest.mark.parametrize("name", ["a.wav", "a.w64", "a.aif"])
def test_header_without_samples(tmp_path: Path, name: str) -> None:
    assert "holds no samples" in refuse(write_samples(tmp_path / name, np.zeros((0, 2))))


@pytest.mark.parametrize("name", ["a.wav", "a.aif", "a.w64", "a.rf64", "a.au", "a.ogg"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_file_cut_short(tmp_path: Path, name: str, share: float) -> None:
    path = truncate(write_samples(tmp_path / name, make_noise(100_000)), share)

    said = refuse(path)

    assert "is cut short" in said
    assert "copy or download it again" in said
    assert name == "a.ogg" or f"{1 - share:.0%} of its audio is missing" in said


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aif", "a.w64", "a.caf"])
@pytest.mark.parametrize("size", [1, 3, 12, 30])
def test_headers_cut_short(tmp_path: Path, name: str, size: int) -> None:
    path = write_song(tmp_path / name, 0.5)
    os.truncate(path, size)

    refuse(path)
    refuse(path, with_ffmpeg=False)


def test_cover_at_the_end_of_an_mp3_is_no_second_recording(tmp_path: Path) -> None:
    path = write_song(tmp_path / "a.mp3", 2.0)
    cover = bytes(500_000)
    footer = b"APETAGEX" + (2000).to_bytes(4, "little") + (len(cover) + 32).to_bytes(4, "little") + bytes(16)
    path.write_bytes(path.read_bytes() + cover + footer + b"TAG" + bytes(125))

    assert probe(path).frames == 88_200


def test_wav_written_into_a_pipe_is_whole(tmp_path: Path) -> None:
    path = write_song(tmp_path / "a.wav", 0.5)
    data = bytearray(path.read_bytes())
    for offset in (4, data.index(b"data") + 4):
        data[offset : offset + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)

    assert probe(path).frames == 22050


def test_flac_without_a_length_is_counted(tmp_path: Path) -> None:
    path = write_song(tmp_path / "a.flac", 0.7)
    forget_flac_length(path)

    info = probe(path)

    assert info.frames == 30870
    assert info.duration == pytest.approx(0.7)


def test_flac_without_a_length_cut_short(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "a.flac", make_noise(100_000))
    forget_flac_length(path)
    truncate(path, 0.5)

    assert "is damaged at 0:01." in refuse(path)


@needs_ffmpeg
def test_mp3_without_a_length_gives_an_estimate(tmp_path: Path) -> None:
    song = write_song(tmp_path / "s.wav", 3.0)

    info = probe(encode(song, tmp_path / "a.mp3", "-write_xing", "0"))

    assert info.frames == 0
    assert info.duration == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(
    "name",
    [b"-i.wav", b"a:b%d?*[1].wav", b"caf\xe9\xff.wav", "歌 🎵.wav".encode(), b"n\nl.wav", b"n" * 251 + b".wav"],
    ids=["dash", "marks", "latin1", "utf8", "newline", "255"],
)
@pytest.mark.parametrize("suffix", [b".wav", pytest.param(b".m4a", marks=needs_ffmpeg)])
def test_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes, suffix: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    plain = write_song(Path("plain.wav"), 0.5)
    path = Path(os.fsdecode(name[:-4] + suffix))
    if suffix == b".m4a":
        plain = encode(plain, Path("plain.m4a"))
    plain.rename(path)

    assert probe(path).duration == pytest.approx(0.5, abs=0.1)


def test_path_longer_than_a_thousand_bytes(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d" * 200] * 6)
    folder.mkdir(parents=True)
    path = write_song(tmp_path / "a.wav", 0.5).rename(folder / "a.wav")

    assert probe(path).frames == 22050


@needs_ffmpeg
def test_protected_file(tmp_path: Path) -> None:
    path = encode(write_song(tmp_path / "s.wav", 0.5), tmp_path / "a.m4a", "-c:a", "aac")
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"drms"))

    assert "protected" in refuse(path)


def test_a_path_with_a_zero_byte_is_no_path() -> None:
    with pytest.raises(SourceError, match="is not a file name"):
        probe(Path("a\0b.wav"))


@pytest.mark.parametrize("make", [bytes, np.random.default_rng(8).bytes], ids=["zeros", "noise"])
def test_damaged_headers_never_crash(tmp_path: Path, make: Callable[[int], bytes]) -> None:
    rng = np.random.default_rng(7)
    path = tmp_path / "a.bin"
    for name in ("s.wav", "s.flac", "s.ogg", "s.aif", "s.w64", "s.caf"):
        whole = write_song(tmp_path / name, 0.1).read_bytes()
        for _ in range(25):
            data = bytearray(whole)
            start = int(rng.integers(4, 120))
            data[start : start + 3] = make(3)
            path.write_bytes(data)
            try:
                info = probe(path, which=no_program)
            except SourceError:
                continue
            assert info.duration > 0
            assert 1 <= info.channels <= 8


def forget_flac_length(path: Path) -> None:
    """Zero the 36 bits of STREAMINFO that count the samples, as an encoder writing into a pipe leaves them."""
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert soundfile.info(str(path)).frames > 2**60
