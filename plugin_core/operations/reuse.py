"""Stems that stand already: of finished jobs, or ours by their own tags though the job store knows nothing of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Final

import msgspec

from plugin_core.audio.formats import FORMATS, AudioFormat, float_format, resolve_format
from plugin_core.audio.overload import read_gain, widest_format
from plugin_core.audio.probe import identify
from plugin_core.errors import SourceError
from plugin_core.files.checksum import hash_file
from plugin_core.files.names import HIDDEN_PREFIX
from plugin_core.files.placement import copy_file, explain_os_error, sync_folder, write_durably
from plugin_core.jobs.keys import is_same_wish
from plugin_core.model import Job, Part, Plan, Quote, Separation, Source, Stem
from plugin_core.operations.orders import destination_of_wish
from plugin_core.operations.stem_tags import read_fields
from plugin_core.purchases.purchase import describe_options, is_enough
from plugin_core.recordings.digest import digest_of
from plugin_core.stem_names import RESIDUAL, canonical, parts_of, title, without
from plugin_core.stems.layout import RECORD, Layout, Template, ready_folder, template_values
from plugin_core.tags.reader import read_tags
from plugin_core.tasks import Stopper

_ENCODINGS: Final = {"PCM_16": "pcm_16", "PCM_24": "pcm_24", "FLOAT": "float"}


def own_folder(source: Source, wish: Separation, template: Template) -> Path | None:
    """Return the folder that a song's stems would have for themselves; None where they share one with others."""
    if not template.depth:
        return None
    values = template_values(
        source.path, title="", suffix="", provider=wish.provider, model=wish.model or "default"
    ) | read_fields(source.path, template)
    return destination_of_wish(source, wish).joinpath(*template.render(values).parts[: template.depth])


def recognise(folder: Path, source: Source, plan: Plan, quote: Quote, check: Callable[[], None]) -> tuple[Stem, ...]:
    """Return the stems in a folder that are what a plan would buy; empty unless all of them are there.

    Args:
        folder: from ``own_folder``.
        source: the song as it is now, whose tags may have changed since.
        plan: resolved by its provider.
        quote: what would be sent for it.
        check: called while files are read; raise there to stop.

    Raises:
        TransientError: the disk or share does not answer.
    """
    wish = plan.operation
    assert isinstance(wish, Separation)
    chosen = resolve_format(wish.format, source)
    if wish.as_is:
        return _recognise(folder, source, plan, quote, chosen, check)
    for form in dict.fromkeys((chosen, widest_format(chosen, wish.on_overload, source))):
        if found := _recognise(folder, source, plan, quote, form, check):
            return found
    return ()


def _recognise(
    folder: Path, source: Source, plan: Plan, quote: Quote, chosen: AudioFormat, check: Callable[[], None]
) -> tuple[Stem, ...]:
    wish = plan.operation
    assert isinstance(wish, Separation)
    sound = functools.cache(lambda: digest_of(source.path, check=check))
    found = {}
    for path, made in _recorded(folder, check) if wish.as_is else _made_here(folder, chosen):
        is_wished = (made.get("provider"), made.get("model")) == (wish.provider, wish.model)
        is_sent = made.get("options", "") == describe_options(quote)
        is_level = "gain" not in made or wish.on_overload == "scale"
        is_ours = is_wished and is_sent and is_level and _is_made_of(made, source, sound)
        if is_ours and (wish.as_is or _is_whole(path, source, chosen)):
            record = hash_file(path, check)
            name = canonical(str(made.get("stem", "")))
            found[name] = Stem(
                name=name,
                label=name,
                path=path,
                size=record.size,
                sha256=record.sha256,
                gain=read_gain(str(made.get("gain", ""))),
            )
    wanted = _wanted(wish, plan)
    if not wanted <= found.keys():
        return ()
    return tuple(stem for name, stem in found.items() if not wanted or name in wanted)


def _wanted(wish: Separation, plan: Plan) -> set[str]:
    named = {*map(canonical, wish.stems), *map(without, wish.minus)}
    everything = set() if named else set(map(canonical, plan.stems))
    return named | everything | ({RESIDUAL} if wish.residual else set())


def _made_here(folder: Path, chosen: AudioFormat) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the files of a format in a folder that say of themselves that we made them, with what they say."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        if path.suffix != chosen.suffix or path.name.startswith(HIDDEN_PREFIX) or path.is_symlink():
            continue
        try:
            (said,) = read_tags(path).fields.get("provenance", ("",))[:1]
            made = json.loads(said or "null")
        except (SourceError, ValueError):
            # Not ours, or broken: nothing that could be taken for what is wanted.
            continue
        if isinstance(made, dict):
            yield path, made


def leave_record(folder: Path, provenance: Mapping[str, str], stems: Sequence[Stem]) -> None:
    """Say in a folder what its files are that were placed as they came, and have no tags of ours.

    Raises:
        OSError: the disk is full or away.
    """
    files = {
        stem.path.relative_to(folder).as_posix(): {"stem": stem.name, "sound": digest_of(stem.path)} for stem in stems
    }
    write_durably(folder / RECORD, json.dumps({**provenance, "files": files}, ensure_ascii=False).encode())


def _recorded(folder: Path, check: Callable[[], None]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the files of a folder that are what its record says, whatever became of their tags."""
    try:
        made = json.loads((folder / RECORD).read_bytes())
        files = {str(name): dict(said) for name, said in made.pop("files").items()}
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return
    for name, said in files.items():
        path = folder / name
        is_there = ".." not in path.parts and path.is_relative_to(folder) and path.is_file()
        if is_there and digest_of(path, check=check) == said.get("sound"):
            yield path, made | said


def _is_made_of(made: dict[str, Any], source: Source, sound: Callable[[], str]) -> bool:
    if made.get("source_sha256") == source.content:
        return True
    # Tags that were edited since make other bytes of the same sound.
    return "recording" in made and made["recording"] == sound()


def _is_whole(path: Path, source: Source, chosen: AudioFormat) -> bool:
    """Tell whether a stem is as long as its song, and in the form that is wanted."""
    try:
        info = identify(path)
    except SourceError:
        return False
    is_long = not (chosen.is_lossless and source.frames) or info.frames == source.frames
    return is_long and info.encoding == _ENCODINGS.get(chosen.subtype, "lossy")


def render_paths(stems: Sequence[Stem], source: Path, wish: Separation, template: Template) -> list[PurePath]:
    """Return the path below the destination that each finished stem has for a source."""
    tags, model, paths = read_fields(source, template), wish.model or "default", []
    for stem in stems:
        values = template_values(
            source, title=title(stem.name), suffix=stem.path.suffix, provider=wish.provider, model=model
        )
        paths.append(template.render(values | tags))
    return paths


def is_copy(job: Job, twin: Job) -> bool:
    """Tell whether a finished job's stems are, byte for byte, what a job would make.

    Two files of one lossy recording may begin on different samples: what was made for one is held against the other.
    """
    is_same_sound = twin.source.content == job.source.content or job.source.encoding != "lossy"
    return is_same_sound and is_same_wish(twin.operation, job.operation)


def derivable(job: Job, twin: Job) -> list[Part]:
    """Return the stems of a finished job as the parts that another form of the same purchase can be made of.

    Empty where they do not hold all that is wanted, or hold it less well than what was bought.
    """
    wish, had, quote = job.operation, twin.operation, job.quote
    if not isinstance(wish, Separation) or not isinstance(had, Separation) or quote is None:
        return []
    # What was treated is not as it came, and what was not may have any format.
    if wish.as_is or had.as_is:
        return []
    # What was bought lossy, or with fewer bits, is no more for having been written in a better format.
    if twin.quote is None or not is_enough(twin.quote, quote):
        return []
    kept = FORMATS.get(had.format)
    if kept is None or not kept.is_lossless or (kept.bits or 32) < quote.depth:
        return []
    derived = {without(stem) for stem in had.minus} | {RESIDUAL}
    stems = [stem for stem in twin.stems if stem.name not in derived]
    is_all = not had.stems and not had.minus
    names = {stem.name for stem in stems}
    wanted = parts_of(wish.stems, names) | set(map(canonical, wish.minus))
    needs_all = wish.residual or not wanted
    if (needs_all and not is_all) or not wanted <= names:
        return []
    return [
        Part(
            stem=stem.name,
            label=stem.label,
            path=stem.path,
            is_audio=stem.path.suffix in (kept.suffix, float_format(kept, twin.source).suffix),
            gain=stem.gain,
        )
        for stem in stems
    ]


def copy_stems(stems: Sequence[Stem], layout: Layout, destination: Path, stopper: Stopper) -> tuple[Stem, ...]:
    """Copy finished stems into staging under the layout's paths, to be placed below a destination.

    Raises:
        PlacementError: staging cannot be written.
        TransientError: the disk is full.
    """
    copies = []
    try:
        for stem, name in zip(stems, layout.paths, strict=True):
            path = layout.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            copy_file(stem.path, path, stopper.check)
            sync_folder(path.parent)
            copies.append(msgspec.structs.replace(stem, path=path))
    except OSError as error:
        raise explain_os_error(error, destination) from error
    return tuple(copies)


def layout_of(staging: Path, depth: int, paths: Sequence[PurePath]) -> Layout:
    """Return the layout of stems that are about to be staged."""
    return Layout(ready_folder(staging, depth), depth, tuple(paths))
