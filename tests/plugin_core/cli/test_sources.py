from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_core.cli.sources import find_sources
from plugin_core.errors import UsageError
from plugin_core.operations.stem_tags import tag_stem
from tests.plugin_core.cli.fakes import write_song


@pytest.fixture(autouse=True)
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Build a folder with songs, other files, results and hidden entries."""
    folder = tmp_path / "music"
    for name in (
        "b.flac",
        "a.WAV",
        "cover.jpg",
        ".hidden.flac",
        ".cache/x.flac",
        "disc/02.mp3",
        "disc/01.mp3",
        "b.stems/b - Vocals.flac",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    monkeypatch.chdir(folder)
    return folder


def names(*arguments: str, recursive: bool = False, results: Path | None = None) -> list[str]:
    found = find_sources(arguments, recursive=recursive, results=results)
    assert all(path.is_absolute() for path in found)
    return [path.relative_to(Path.cwd()).as_posix() for path in found]


def test_files_keep_their_order_and_come_once() -> None:
    assert names("b.flac", "a.WAV", "./b.flac", str(Path.cwd() / "a.WAV")) == ["b.flac", "a.WAV"]


def test_a_named_file_is_taken_whatever_it_is_called() -> None:
    assert names("cover.jpg") == ["cover.jpg"]


def test_a_link_is_no_file_and_what_it_holds_is_not_told() -> None:
    with pytest.raises(UsageError, match=r"^sftp://... is no file; `stembridge separate`") as caught:
        names("b.flac", "sftp://me:word@host/Song.flac?sig=key")
    assert not any(word in str(caught.value) for word in ("word", "host", "key"))


def test_walk_takes_audio_and_passes_over_the_rest() -> None:
    assert names(".", recursive=True) == ["a.WAV", "b.flac", "disc/01.mp3", "disc/02.mp3"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_an_mp4_without_pictures_is_a_song(music: Path) -> None:
    write_song(music / "b.flac")
    sound = ("-i", "b.flac", "-c:a", "aac")
    picture = ("-f", "lavfi", "-i", "color=size=16x16:duration=1", *sound, "-c:v", "mpeg4")
    for name, words in (("song.mp4", sound), ("film.MP4", picture)):
        subprocess.run(["ffmpeg", "-v", "error", *words, name], check=True, stdin=subprocess.DEVNULL)
    (music / "broken.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    (music / "none.mp4").touch()
    assert [name for name in names(".", recursive=True) if "mp4" in name.lower()] == ["song.mp4"]
    assert names("*.mp4", "film.MP4") == ["broken.mp4", "none.mp4", "song.mp4", "film.MP4"]
    assert "film.MP4" not in names("*")


def test_folder_needs_recursive() -> None:
    with pytest.raises(UsageError, match=r"disc is a folder; add --recursive"):
        names("b.flac", "disc")


def test_own_results_named_by_a_shell_are_passed_over() -> None:
    assert names("a.WAV", "b.flac", "b.stems") == ["a.WAV", "b.flac"]


def test_own_results_named_alone_are_a_folder() -> None:
    with pytest.raises(UsageError, match="is a folder"):
        names("b.stems")
    assert names("b.stems", recursive=True) == ["b.stems/b - Vocals.flac"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a.WAV", "b.flac"]),
        ("*.fl?c", ["b.flac"]),
        ("disc/0[12].mp3", ["disc/01.mp3", "disc/02.mp3"]),
        ("**/*.mp3", ["disc/01.mp3", "disc/02.mp3"]),
        ("**/*", ["a.WAV", "b.flac", "disc/01.mp3", "disc/02.mp3"]),
        ("*.jpg", ["cover.jpg"]),
    ],
)
def test_patterns_are_expanded(pattern: str, expected: list[str]) -> None:
    assert names(pattern) == expected


def test_a_file_called_like_a_pattern_wins() -> None:
    Path("01 [live].flac").touch()
    Path("01 l.flac").touch()
    assert names("01 [live].flac") == ["01 [live].flac"]


def test_pattern_without_a_match_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"no audio file matches \*\.ogg"):
        names("b.flac", "*.ogg")


def test_missing_file_is_named_before_anything_else() -> None:
    with pytest.raises(UsageError, match=r"^no such file: gone\.flac \(and 1 other\)$"):
        names("b.flac", "gone.flac", "also.flac")


def test_folder_without_audio_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no audio file in .*empty"):
        find_sources([str(tmp_path / "empty")], recursive=True)


def test_results_folder_met_on_a_walk_is_no_source() -> None:
    assert names(".", recursive=True, results=Path.cwd() / "disc") == ["a.WAV", "b.flac"]


@pytest.mark.parametrize("up", [".", "..", "disc"])
def test_a_named_song_is_taken_wherever_results_go(up: str) -> None:
    assert names("disc/01.mp3", "b.flac", results=Path.cwd().joinpath(up).resolve()) == ["disc/01.mp3", "b.flac"]


@pytest.mark.parametrize("up", ["..", ".", "disc"])
def test_a_walk_at_or_below_the_results_folder_takes_its_songs(up: str) -> None:
    assert names("disc", recursive=True, results=Path.cwd().joinpath(up).resolve()) == ["disc/01.mp3", "disc/02.mp3"]


def test_own_stems_are_known_by_their_tag_and_taken_only_when_named(tmp_path: Path) -> None:
    song, stem = write_song(tmp_path / "in" / "x.flac"), write_song(tmp_path / "in" / "x Vocals.flac")
    tag_stem(song, stem, stem_title="Vocals", provenance={"stem": "vocals"})
    assert find_sources([str(tmp_path / "in")], recursive=True) == [song]
    assert find_sources([str(tmp_path / "in" / "*.flac")]) == [song]
    assert find_sources([str(stem)]) == [stem]
    assert find_sources([str(tmp_path / "in" / "*.flac"), str(stem)]) == [song, stem]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links(tmp_path: Path) -> None:
    Path("link").symlink_to(Path.cwd() / "disc")
    Path("same.flac").symlink_to("b.flac")
    Path("broken.flac").symlink_to("nowhere.flac")
    assert names("b.flac", "same.flac") == ["b.flac"]
    found = names(".", recursive=True)
    assert not [name for name in found if name.startswith("link/")]
    assert "broken.flac" in found  # named later as a source that cannot be read, not silently dropped


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf8() -> None:
    name = os.fsdecode(b"caf\xe9.flac")
    Path(name).touch()
    assert Path(name).absolute() in find_sources(["."], recursive=True)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a terminal")
def test_a_list_from_a_pipe_leaves_questions_to_the_terminal() -> None:
    import fcntl
    import pty
    import termios

    code = "import sys; from plugin_core.cli.sources import read_list; print(read_list('-', separator=b'\\n'));"
    code += "sys.exit(0 if sys.stdin.isatty() and sys.stdin.readline() == 'yes\\n' else 3)"
    ours, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=terminal,
        cwd=Path(__file__).parents[3],
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(1, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(terminal)
        os.write(ours, b"yes\n")
        process.communicate(b"a.flac\n", timeout=120)
    os.close(ours)
    assert process.returncode == 0
    # Where there is none, there is nobody to ask.
    piped = subprocess.run([sys.executable, "-c", code], input=b"a.flac\n", cwd=Path(__file__).parents[3])
    assert piped.returncode == 3
