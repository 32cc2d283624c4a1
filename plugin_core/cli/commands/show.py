"""``stembridge show``: a song and its stems as a picture, in a file or in a terminal that can show one."""

from __future__ import annotations

import base64
import io
import math
import os
import shutil
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plugin_core.audio.formats import AUDIO_SUFFIXES
from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.json_lines import describe_count, write_record
from plugin_core.console.options import JSON_OPTION
from plugin_core.console.phrases import show
from plugin_core.console.tables import print_table
from plugin_core.errors import SettingsError, SourceError, UsageError, install_hint
from plugin_core.files.disk import explain_write_error
from plugin_core.model import Job, JobState, Label, show_path
from plugin_core.operations.stem_tags import read_provenance
from plugin_core.session import Session
from plugin_core.stem_names import canonical, sort_stems
from plugin_core.stems.layout import STEMS_SUFFIX

if TYPE_CHECKING:
    from plugin_core.cli.picture import Measured


@examples("stembridge show Song.flac", "stembridge show Song.flac --png Song.png")
@click.command("show")
@click.argument("song", type=click.Path(path_type=Path))
@click.option("--png", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write the picture here.")
@JSON_OPTION
@click.pass_obj
def command(context: Context, song: Path, png: Path | None, as_json: bool) -> int:
    """Show a song and its stems: waveforms, spectrograms, levels, labels, and what the sum of the stems lacks.

    The picture is written to FILE, or shown in a terminal that can (kitty, iTerm2, WezTerm, Ghostty). The levels are
    printed in any case. The stems are those that stembridge placed last.
    """
    try:
        import PIL  # noqa: F401 - asked before minutes of music are read
    except ImportError as error:
        raise SettingsError("a picture needs Pillow, which is not installed", remedy=install_hint("show")) from error
    from plugin_core.cli.picture import describe_error, draw, measure

    path = song.absolute()
    if not path.is_file():
        raise SourceError(f"{show(song)} is no file", remedy="name a song that was separated")
    if png is not None and png.exists():
        raise UsageError(f"{show(png)} is there already", remedy="name another file")
    with context.session() as session:
        jobs = _jobs(session, path)
    stems, labels = find_stems(jobs, path), find_labels(jobs)
    if not stems:
        raise SourceError(f"{show(song)} has no stems here", remedy=f"stembridge separate {show(song)}")
    measured = measure(path, stems)
    picture = io.BytesIO()
    drawn = draw(measured, show_path(Path(path.name)), labels)
    drawn.save(picture, "PNG")
    if png is not None:
        _write(png, picture.getvalue())
    if as_json:
        _tell_programs(path, png, measured)
        return 0
    shown = ""
    if png is None and sys.stdout.isatty():
        shown = inline(picture.getvalue(), os.environ, cells_of(drawn.width, *_screen()))
    if shown:
        click.echo(shown)
    elif png is None:
        click.echo("stembridge: this terminal shows no pictures; --png FILE writes one", err=True)
    if not context.quiet:
        rows = [(one.name, f"{_level(one.peak):>6}", f"{_level(one.rms):>6}") for one in measured.tracks]
        print_table(("TRACK", "PEAK dB", "RMS dB"), rows)
        click.echo(f"sum error: {describe_error(measured)}")
        if png is not None:
            click.echo(f"wrote {show(png)}")
    return 0


def find_stems(jobs: Sequence[Job], song: Path) -> dict[str, Path]:
    """Return the stems of a song that stand, by name: those placed last, or those of the folder beside it."""
    found: dict[str, Path] = {}
    for job in jobs:
        found = {stem.name: stem.path for stem in job.stems if stem.path.is_file()} or found
    if not found:
        folder = song.with_name(f"{song.stem}{STEMS_SUFFIX}")
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        lead = f"{song.stem} - "
        found = {
            canonical(each.stem.removeprefix(lead)): each
            for each in files
            if each.suffix.lower() in AUDIO_SUFFIXES and each.stem.startswith(lead) and not _is_mix(each)
        }
    return {name: found[name] for name in sort_stems(found)}


def _is_mix(path: Path) -> bool:
    """Tell whether a file says of itself that it was mixed of stems: no model made it."""
    made = read_provenance(path)
    return "stembridge" in made and '"model"' not in made


def find_labels(jobs: Sequence[Job]) -> list[Label]:
    """Return what a song was labelled as last."""
    labels: list[Label] = []
    for job in jobs:
        labels = list(job.labels) or labels
    return labels


def _jobs(session: Session, song: Path) -> list[Job]:
    """Return the jobs of a song that are done, the newest last; a look makes no store."""
    if not session.has_store:
        return []
    found = [job for job in session.store.placed_at(song) if job.state is JobState.DONE and job.source.path == song]
    return sorted(found, key=lambda job: job.updated)


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as opened:
            opened.write(data)
    except OSError as error:
        raise explain_write_error(path, error) from error


def _level(value: float) -> str:
    from plugin_core.cli.picture import decibels

    return decibels(value).removesuffix(" dBFS")


def _tell_programs(song: Path, png: Path | None, measured: Measured) -> None:
    for track in measured.tracks:
        write_record({"event": "level", "source": song, "name": track.name, "peak": track.peak, "rms": track.rms})
    error = None if measured.error is None else float(measured.error.max())
    write_record({"event": "picture", "source": song, "path": png and png.absolute(), "sum_error": error})
    write_record(describe_count(len(measured.tracks)))


def inline(png: bytes, environ: Mapping[str, str], cells: int) -> str:
    """Return what shows a picture in this terminal, so many columns wide; "" where none can be."""
    if environ.get("TMUX") or environ.get("STY"):
        # What they know of their terminal is their own; tmux and screen swallow pictures.
        return ""
    text = base64.b64encode(png).decode()
    if environ.get("TERM_PROGRAM", "") in ("iTerm.app", "WezTerm", "mintty"):
        return f"\x1b]1337;File=inline=1;size={len(png)};width={cells};preserveAspectRatio=1:{text}\x07"
    if "KITTY_WINDOW_ID" in environ or environ.get("TERM") in ("xterm-kitty", "xterm-ghostty"):
        parts = [text[start : start + 4096] for start in range(0, len(text), 4096)]
        last = len(parts) - 1
        heads = [
            f"{f'a=T,f=100,q=2,c={cells},' if number == 0 else ''}m={int(number < last)}" for number in range(last + 1)
        ]
        return "".join(f"\x1b_G{head};{part}\x1b\\" for head, part in zip(heads, parts, strict=True))
    return ""


def cells_of(pixels: int, columns: int, screen_pixels: int) -> int:
    """Return how many columns of a terminal a picture takes: its own size, or all of a narrower one.

    Args:
        pixels: width of the picture.
        columns: of the terminal.
        screen_pixels: all columns together; 0 where the terminal does not tell.
    """
    return min(columns, math.ceil(pixels * columns / screen_pixels)) if screen_pixels else columns


def _screen() -> tuple[int, int]:
    """Return the columns of the terminal on standard output, and how many pixels they are; 0 where it does not tell."""
    columns = shutil.get_terminal_size().columns
    try:
        # Not on Windows, where no such terminal is.
        import fcntl
        import termios

        told = struct.unpack("4H", fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8)))
    except (ImportError, OSError):
        return columns, 0
    return (told[1], told[2]) if told[1] else (columns, 0)
