"""From fetched parts to finished stems in staging: verified, aligned, converted, derived, tagged and hashed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

import msgspec

from plugin_core.audio.formats import resolve_format
from plugin_core.audio.overload import Fit, choose_fit, show_gain
from plugin_core.errors import ResultError
from plugin_core.files.checksum import hash_opened
from plugin_core.files.disk import named
from plugin_core.files.placement import copy_file, explain_os_error, sync_folder
from plugin_core.model import Part, Separation, Source, Stem
from plugin_core.stem_names import canonical, title
from plugin_core.stems.layout import Template, ready_folder, template_values
from plugin_core.stems.mix import Mix, MixForm, Placed, indexes
from plugin_core.stems.part import BLOCK, Shape, open_part, shape_of_part
from plugin_core.stems.products import Product, list_products, name_parts
from plugin_core.stems.verification import BITS, Checked, describe_changes, describe_clipping, verify_parts
from plugin_core.tasks import Stopper

LOSSY_SLACK: Final = 4608
"""Frames a lossy file may differ in length before it is encoded again for that alone."""

AS_IT_CAME: Final = "placed as it came: not held against the song, nothing moved or converted"

TagStem = Callable[[Path, Path, Path, str, Mapping[str, str]], None]
"""Make a stem file with tags: source, file that holds the stem's sound, stem file (the same or new), title, provenance.

It is not flushed to the disk.
"""


class Treatment(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be made of parts, and all that is needed to know for it."""

    source: Source
    parts: tuple[Part, ...]
    wish: Separation
    template: Template
    staging: Path
    provenance: dict[str, str]
    """Fields that go onto every stem; ``stem`` is added."""
    tags: dict[str, str] = {}
    """``artist``, ``title`` and ``album`` of the source, where the template asks for them."""


class Treated(msgspec.Struct, frozen=True, kw_only=True):
    """Finished stems in staging."""

    stems: tuple[Stem, ...]
    notes: tuple[str, ...] = ()


def treat(task: Treatment, tag_stem: TagStem, stopper: Stopper, report: Callable[[float], None]) -> Treated:
    """Make the finished stems; parts stay where they are, so that it can be done again after a crash.

    Args:
        task: what to do.
        tag_stem: gives a file its tags.
        stopper: checked between blocks.
        report: hears how far the computing is, 0..1.

    Raises:
        ResultError: a part is damaged or does not belong to the source.
        PlacementError: a file cannot be written, or no wanted stem came back.
        SourceError: the source cannot be decoded.
        TransientError: the disk is full.
    """
    root = ready_folder(task.staging, task.template.depth)
    audio = [part for part in task.parts if part.is_audio and not task.wish.as_is]
    others = [part for part in task.parts if part not in audio]
    # Nobody knows staging: a file that cannot be written there is named as it would be called in its place.
    destination = task.wish.to or task.source.path.parent
    with named({root: destination, task.staging: destination}):
        try:
            stems: list[Stem] = []
            notes: list[str] = []
            if audio or not others:
                heard = msgspec.structs.replace(task, parts=tuple(audio))
                stems, notes = _treat_audio(heard, root, tag_stem, stopper, report)
            if task.wish.as_is:
                others, notes = _take_as_is(task, others, stopper)
            stems += _keep_others(task, others, root, stopper)
            for folder in _folders_of(stems, task.staging):
                sync_folder(folder)
        except OSError as error:
            raise explain_os_error(error, task.staging) from error
    return Treated(stems=tuple(stems), notes=tuple(notes))


def _treat_audio(
    task: Treatment, root: Path, tag_stem: TagStem, stopper: Stopper, report: Callable[[float], None]
) -> tuple[list[Stem], list[str]]:
    # A wish that cannot be met is told before hours of music are read.
    list_products(task.parts, task.wish)
    checked = verify_parts(task.source.path, task.parts, stopper)
    placed = _place_parts(task, checked)
    products, notes = _list_products(task, placed, checked.source)
    fit = _choose_fit(task, checked, placed, products, stopper)
    paths = {root / _path_of(task, product, fit.format.suffix): product for product in products}
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    final = {
        path: task.parts[one.plus].path
        for path, one in paths.items()
        if one.plus is not None and _is_final(checked, placed, one.plus, fit)
    }
    computed = {path: one for path, one in paths.items() if path not in final}
    clipped = _compute(task, computed, checked, placed, fit, stopper, report)
    provenance = task.provenance | ({"gain": show_gain(fit.gain)} if fit.gain != 1.0 else {})
    for path, product in paths.items():
        stopper.check()
        tag_stem(task.source.path, final.get(path, path), path, product.title, {**provenance, "stem": product.name})
    stems = [_finish(path, product, stopper, fit.gain) for path, product in paths.items()]
    titles, shapes = [one.title for one in placed], [one.shape for one in placed]
    changes = describe_changes(checked, titles, shapes, indexes(products), fit.format)
    return stems, [*changes, *notes, *fit.notes, *describe_clipping(clipped, fit.format)]


def _place_parts(task: Treatment, checked: Checked) -> list[Placed]:
    return [
        Placed(part.path, title(name), shape_of_part(info, frames, lag, checked.source), lag, part.gain)
        for part, name, info, frames, lag in zip(
            task.parts, name_parts(task.parts), checked.infos, checked.frames, checked.alignment.lags, strict=True
        )
    ]


def _list_products(task: Treatment, placed: Sequence[Placed], source: Shape) -> tuple[list[Product], list[str]]:
    """Return the files to make without those that need a part of another shape than the source's."""
    products, notes = list_products(task.parts, task.wish)
    odd = [index for index, one in enumerate(placed) if one.shape != source]
    spoilt = [one for one in products if not set(odd).isdisjoint(one.minus)]
    if not spoilt:
        return products, notes
    names = ", ".join(placed[index].title for index in odd)
    notes += [f"{one.title}: cannot be made, {names} has another shape than the song" for one in spoilt]
    left = [one for one in products if one not in spoilt]
    # What was paid for is never left out altogether.
    return left or list_products(task.parts, Separation(provider=task.wish.provider))[0], notes


def _choose_fit(
    task: Treatment, checked: Checked, placed: Sequence[Placed], products: Sequence[Product], stopper: Stopper
) -> Fit:
    def measure() -> list[float]:
        peaks = [peak / one.gain for peak, one in zip(checked.peaks, placed, strict=True)]
        is_derived = any(one.plus is None for one in products)
        if is_derived or is_summed(task.parts):
            # What the others leave of the song is right only if the song fits as well.
            peaks.append(checked.peak)
        is_resampled = any(info.sample_rate != checked.source.sample_rate for info in checked.infos)
        if is_derived or is_resampled:
            mix = Mix(task.source.path, checked.source, placed)
            peaks.append(mix.measure(products, lambda _: stopper.check()))
        return peaks

    chosen = resolve_format(task.wish.format, task.source)
    return choose_fit(chosen, task.wish.on_overload, task.source, measure)


def _take_as_is(task: Treatment, parts: Sequence[Part], stopper: Stopper) -> tuple[list[Part], list[str]]:
    """Return the parts that are wanted, and what people should know of them: paid for, none is refused."""
    names, wanted = name_parts(parts), {canonical(stem) for stem in task.wish.stems}
    notes = [AS_IT_CAME]
    if missing := wanted.difference(names):
        notes.append(f"no {', '.join(sorted(missing))} came back, only {', '.join(names)}")
    is_all = not wanted.intersection(names)
    chosen = [part for name, part in zip(names, parts, strict=True) if is_all or name in wanted]
    for part in chosen:
        try:
            if part.is_audio:
                _decode(part, task.source.path, stopper)
        except ResultError as error:
            notes.append(error.message)
    return chosen, notes


def _decode(part: Part, song: Path, stopper: Stopper) -> None:
    with open_part(part.path, title(canonical(part.stem)), song) as reader:
        while len(reader.read(BLOCK)):
            stopper.check()


def _keep_others(task: Treatment, parts: Sequence[Part], root: Path, stopper: Stopper) -> list[Stem]:
    """Stage results that are no stems of the song (MIDI, text, speech) as they came."""
    stems = []
    for name, part in zip(name_parts(parts), parts, strict=True):
        product = Product(name, part.label)
        path = root / _path_of(task, product, part.path.suffix or ".bin")
        path.parent.mkdir(parents=True, exist_ok=True)
        copy_file(part.path, path, stopper.check, flush=False)
        stems.append(_finish(path, product, stopper))
    return stems


def _folders_of(stems: Sequence[Stem], staging: Path) -> set[Path]:
    """Return the folders from the stems' own up to staging."""
    folders = {staging}
    for stem in stems:
        folder = stem.path.parent
        while folder not in folders and folder != folder.parent:
            folders.add(folder)
            folder = folder.parent
    return folders


def _path_of(task: Treatment, product: Product, suffix: str) -> PurePath:
    values = template_values(
        task.source.path,
        title=product.title,
        suffix=suffix,
        provider=task.wish.provider,
        model=task.wish.model or "default",
    )
    return task.template.render(task.tags | values | {"title": task.tags.get("title", task.source.path.stem)})


def _compute(
    task: Treatment,
    computed: Mapping[Path, Product],
    checked: Checked,
    placed: Sequence[Placed],
    fit: Fit,
    stopper: Stopper,
    report: Callable[[float], None],
) -> dict[str, int]:
    """Write what no part is already, and return how many samples were clipped, by title."""

    def tick(share: float) -> None:
        stopper.check()
        report(share)

    clipped = {"": checked.overs} if _is_sum_clipped(task, checked) else {}
    if computed:
        form = MixForm(fit.format, fit.gain, is_summed=is_summed(task.parts) and _is_rounded(checked, fit))
        clipped |= Mix(task.source.path, checked.source, placed).write(computed, form, tick)
    return clipped


def is_summed(parts: Sequence[Part]) -> bool:
    """Tell whether all parts together are the source."""
    return all(part.exact for part in parts)


def _is_rounded(checked: Checked, fit: Fit) -> bool:
    """Tell whether writing the parts rounds them, each for itself."""
    return fit.gain != 1.0 or any(BITS.get(info.encoding) != fit.format.bits for info in checked.infos)


def _is_sum_clipped(task: Treatment, checked: Checked) -> bool:
    """Tell whether the parts sum to the source with its peaks clipped: integers cannot do otherwise."""
    return is_summed(task.parts) and all(info.encoding in BITS for info in checked.infos)


def _is_final(checked: Checked, placed: Sequence[Placed], index: int, fit: Fit) -> bool:
    """Tell whether a part is already what is wanted: encoding it again could only lose something."""
    info, part, chosen = checked.infos[index], placed[index], fit.format
    is_other_codec = chosen.container == "OGG" and info.codec != chosen.subtype.lower()
    if part.lag or info.container != chosen.container or is_other_codec or fit.gain / part.gain != 1.0:
        return False
    if (info.sample_rate, info.channels) != (part.shape.sample_rate, part.shape.channels):
        return False
    difference = abs(checked.frames[index] - part.shape.frames)
    if not chosen.is_lossless:
        return difference <= LOSSY_SLACK
    return difference == 0 and (info.encoding == "float" if chosen.is_float else BITS.get(info.encoding) == chosen.bits)


def _finish(path: Path, product: Product, stopper: Stopper, gain: float = 1.0) -> Stem:
    with path.open("rb+") as opened:
        os.fsync(opened.fileno())
        record = hash_opened(opened, stopper.check)
    return Stem(name=product.name, label=product.label, path=path, size=record.size, sha256=record.sha256, gain=gain)
