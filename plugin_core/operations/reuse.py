"""Taking the stems of a finished job, or making others of them, instead of buying them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

import msgspec

from plugin_core.audio.formats import FORMATS, float_format
from plugin_core.files.placement import copy_file, explain_os_error, sync_folder
from plugin_core.jobs.dedupe import is_same_wish
from plugin_core.model import Job, Part, Separation, Stem
from plugin_core.purchases.purchase import is_enough
from plugin_core.stem_names import RESIDUAL, canonical, parts_of, title, without
from plugin_core.stems.layout import Layout, ready_folder
from plugin_core.stems.template import Template, template_values
from plugin_core.threads import Stopper


def render_paths(
    stems: Sequence[Stem], source: Path, template: Template, provider: str, model: str, tags: dict[str, str]
) -> list[PurePath]:
    """Return the path below the destination that each finished stem has for a source."""
    paths = []
    for stem in stems:
        values = template_values(
            source, title=title(stem.name), suffix=stem.path.suffix, provider=provider, model=model
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
