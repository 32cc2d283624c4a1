"""What stems carry over from their source's tags, and what they say of themselves; by that, which files are songs."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_core._version import __version__
from plugin_core.audio.formats import AUDIO_SUFFIXES
from plugin_core.errors import SourceError, StembridgeError
from plugin_core.files.placement import copy_file
from plugin_core.model import Job, show_path
from plugin_core.operations.orders import wish_of
from plugin_core.purchases.purchase import describe_options
from plugin_core.stems.layout import STEMS_SUFFIX, Template
from plugin_core.tags.fields import TagSet
from plugin_core.tags.labels import PROVENANCE

if TYPE_CHECKING:
    from plugin_core.stems.treatment import TagStem


log = logging.getLogger(__name__)


def read_fields(source: Path, template: Template) -> dict[str, str]:
    """Return the template fields that come from the source's tags; a song without them has a place as well."""
    if not template.needs_tags:
        return {}
    from plugin_core.tags.reader import read_tags

    fields: dict[str, tuple[str, ...]] = {}
    # Broken tags cost the song its place in a tidy tree, not its stems.
    with contextlib.suppress(SourceError):
        fields = dict(read_tags(source).fields)
    missing = {"artist": "Unknown Artist", "album": "Unknown Album", "title": source.stem}
    return {name: fields.get(name, (other,))[0] for name, other in missing.items()}


def make_tagger() -> TagStem:
    """Return what gives stems their tags, with those of their source read once."""
    read = functools.cache(read_leniently)

    def tag(source: Path, audio: Path, stem_file: Path, stem_title: str, provenance: Mapping[str, str]) -> None:
        tags = stem_tags(read(source), source, stem_title=stem_title, provenance=provenance)
        _write(audio, tags, stem_file if audio != stem_file else None)

    return tag


def describe_provenance(job: Job, sound_of: Callable[[str], str]) -> dict[str, str]:
    """Return what every stem says of itself.

    Args:
        job: that makes them.
        sound_of: returns the digest of a recording's sound, "" where only its bytes are known.
    """
    wish = wish_of(job)
    told = {
        "provider": wish.provider,
        "model": wish.model,
        "options": describe_options(job.quote) if job.quote else "",
        "stembridge": __version__,
        "job": job.id,
        "source_sha256": job.source.content,
        "recording": sound_of(job.recording) if job.recording else "",
    }
    return {name: text for name, text in told.items() if text or name == "model"}


def tag_stem(source: Path, stem_file: Path, *, stem_title: str, provenance: Mapping[str, str]) -> None:
    """Give a stem its source's fields and pictures, the title ``<title> - <stem_title>`` and its provenance.

    The title falls back on the source's file name; the provenance is compact JSON in the field STEMBRIDGE. The stem is
    changed in place, so it should lie in staging; its samples stay as they are. Broken tags are logged and cost the
    stem its tags, never its existence. W64 and RF64 hold no tags.

    Raises:
        TransientError: the disk is full or gone; the stem may be damaged.
        PlacementError: the stem cannot be written for another reason; it may be damaged.
    """
    _write(stem_file, stem_tags(read_leniently(source), source, stem_title=stem_title, provenance=provenance))


def _write(audio: Path, tags: TagSet, target: Path | None = None) -> None:
    from plugin_core.tags.writer import write_tags

    try:
        write_tags(audio, tags, target)
    except SourceError as error:
        log.warning("a stem goes without tags: %s", error)
        if target is not None:
            copy_file(audio, target, flush=False)


def stem_tags(tags: TagSet, source: Path, *, stem_title: str, provenance: Mapping[str, str]) -> TagSet:
    """Turn a source's tags into those of one stem."""
    own = {"title": (_file_title(source),)} | tags.fields
    # It speaks of the song's own file.
    fields = {name: values for name, values in own.items() if name != PROVENANCE}
    for name in ("title", "titlesort"):
        if name in own:
            fields[name] = (f"{own[name][0]} - {stem_title}",)
    # Surrogates of a file name are not JSON that other programs can read; clean_text replaces them when written.
    fields["provenance"] = (json.dumps(dict(provenance), ensure_ascii=False, separators=(",", ":")),)
    return TagSet(fields, tags.pictures)


def read_leniently(source: Path) -> TagSet:
    """Read the tags of a source for its stems; broken ones are logged and count as none.

    Raises:
        TransientError: its disk is gone.
    """
    from plugin_core.tags.reader import read_tags

    try:
        return read_tags(source)
    except SourceError as error:
        log.warning("the stems go without the source's tags: %s", error)
        return TagSet()


def _file_title(source: Path) -> str:
    return os.fsencode(source.stem).decode("utf-8", "replace")


def read_provenance(path: Path) -> str:
    """Return what a file says of its making; empty where it says nothing or cannot be read."""
    try:
        return tell_provenance(path)
    except StembridgeError:
        # Whatever is wrong with the file is told when it is looked at as a song.
        return ""


def tell_provenance(path: Path) -> str:
    """Return what a file says of its making; empty where it says nothing.

    Raises:
        StembridgeError: it cannot be read.
    """
    from plugin_core.tags.reader import read_labels

    return " ".join(read_labels(path, ("provenance",)).get("provenance", ())) if path.is_file() else ""


def is_own_work(path: Path) -> bool:
    """Tell whether a file says of itself that stembridge made it."""
    return bool(read_provenance(path))


def find_songs(
    folder: Path,
    results: Path | None = None,
    tell: Callable[[str], None] = log.warning,
    is_own: Callable[[Path], bool] = is_own_work,
) -> Iterator[Path]:
    """Yield the songs below a folder, by name; hidden entries, our results and linked folders are passed over.

    Args:
        folder: where to look.
        results: a folder that results go to, which is passed over where the walk comes upon it.
        tell: hears of each folder that cannot be read.
        is_own: tells whether stembridge made a file.
    """

    def tell_of(error: OSError) -> None:
        tell(f"{show_path(Path(str(error.filename)))} is passed over: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=tell_of):
        folders[:] = sorted(name for name in folders if not _is_passed_over(Path(parent, name), results))
        songs = (Path(parent, name) for name in sorted(files) if not name.startswith("."))
        # A template need not keep stems in a folder of their own.
        yield from (path for path in songs if is_song(path) and not is_own(path))


def is_song(path: Path) -> bool:
    """Tell whether a walk takes a file: by its ending, and where that may also be a film's by what is in it."""
    suffix = path.suffix.lower()
    if suffix == ".mp4":
        # Imported when it is needed: what lists jobs reads no sound.
        from plugin_core.audio.movie import is_sound_alone

        return is_sound_alone(path)
    return suffix in AUDIO_SUFFIXES


def _is_passed_over(folder: Path, results: Path | None) -> bool:
    # Only a folder met on the way: songs that lie where the results go, or below, are songs all the same.
    return folder.name.startswith(".") or folder.name.endswith(STEMS_SUFFIX) or folder == results
