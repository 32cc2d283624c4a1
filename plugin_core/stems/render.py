"""From fetched parts to finished stems in staging: verified, aligned, converted, derived, tagged and hashed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

import msgspec

from plugin_core.audio.encoder import count_tail
from plugin_core.audio.formats import AudioFormat, resolve_format
from plugin_core.audio.info import AudioInfo
from plugin_core.files.copying import copy_file, explain_os_error
from plugin_core.files.exclusive import sync_folder
from plugin_core.files.hashing import hash_file
from plugin_core.model import Part, Separation, Source, Stem
from plugin_core.stem_names import title
from plugin_core.stems.conform import Shape, can_match_channels
from plugin_core.stems.layout import ready_folder
from plugin_core.stems.mix import Placed, write_products
from plugin_core.stems.products import Product, list_products, name_parts
from plugin_core.stems.template import Template, template_values
from plugin_core.stems.verify import BITS, Checked, verify_parts
from plugin_core.threads import Stopper

LOSSY_SLACK: Final = 4608
"""Frames a lossy file may differ in length before it is encoded again for that alone."""

TagStem = Callable[[Path, Path, str, Mapping[str, str]], None]
"""Give a stem file tags: source, stem file, stem's title, provenance."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a treatment needs to know."""

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


def treat(task: Task, tag_stem: TagStem, stopper: Stopper, report: Callable[[float], None]) -> Treated:
    """Make the finished stems; parts stay where they are, so that it can be done again after a crash.

    Args:
        task: what to do.
        tag_stem: gives a file its tags, in place.
        stopper: checked between blocks.
        report: hears how far the computing is, 0..1.

    Raises:
        ResultError: a part is damaged or does not belong to the source.
        PlacementError: a file cannot be written, or no wanted stem came back.
        SourceError: the source cannot be decoded.
        TransientError: the disk is full.
    """
    root = ready_folder(task.staging, task.template.depth)
    audio = [part for part in task.parts if part.is_audio]
    others = [part for part in task.parts if not part.is_audio]
    try:
        stems: list[Stem] = []
        notes: list[str] = []
        if audio or not others:
            heard = msgspec.structs.replace(task, parts=tuple(audio))
            stems, notes = _treat_audio(heard, root, tag_stem, stopper, report)
        stems += _keep_others(task, others, root, stopper)
        for folder in _folders_of(stems, task.staging):
            sync_folder(folder)
    except OSError as error:
        raise explain_os_error(error, task.staging) from error
    return Treated(stems=tuple(stems), notes=tuple(notes))


def _treat_audio(
    task: Task, root: Path, tag_stem: TagStem, stopper: Stopper, report: Callable[[float], None]
) -> tuple[list[Stem], list[str]]:
    products, notes = list_products(task.parts, task.wish)
    checked = verify_parts(task.source.path, task.parts, stopper)
    chosen = resolve_format(task.wish.format, task.source)
    paths = {root / _path_of(task, product, chosen.suffix): product for product in products}
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    notes += _make_files(task, paths, checked, chosen, stopper, report)
    for path, product in paths.items():
        stopper.check()
        tag_stem(task.source.path, path, product.title, {**task.provenance, "stem": product.name})
    stems = [_finish(path, product, stopper) for path, product in paths.items()]
    return stems, [*_describe_changes(checked, chosen), *notes]


def _keep_others(task: Task, parts: Sequence[Part], root: Path, stopper: Stopper) -> list[Stem]:
    """Stage results that are no audio (MIDI, text) as they came."""
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


def _path_of(task: Task, product: Product, suffix: str) -> PurePath:
    values = template_values(
        task.source.path,
        title=product.title,
        suffix=suffix,
        provider=task.wish.provider,
        model=task.wish.model or "default",
    )
    return task.template.render(task.tags | values | {"title": task.tags.get("title", task.source.path.stem)})


def _make_files(
    task: Task,
    paths: Mapping[Path, Product],
    checked: Checked,
    chosen: AudioFormat,
    stopper: Stopper,
    report: Callable[[float], None],
) -> list[str]:
    def tick(share: float) -> None:
        stopper.check()
        report(share)

    computed = {}
    for path, product in paths.items():
        if product.plus is not None and _is_final(checked, product.plus, chosen):
            # Flushed with its tags.
            copy_file(task.parts[product.plus].path, path, stopper.check, flush=False)
        else:
            computed[path] = product
    clipped = {"": checked.overs} if _is_sum_clipped(task, checked) else {}
    if computed:
        names = name_parts(task.parts)
        parts = [
            Placed(part.path, title(name), lag)
            for part, name, lag in zip(task.parts, names, checked.alignment.lags, strict=True)
        ]
        clipped |= write_products(task.source.path, parts, computed, checked.source, chosen, tick)
    return [_describe_clipping(name, count, chosen) for name, count in clipped.items() if count]


def _is_sum_clipped(task: Task, checked: Checked) -> bool:
    """Tell whether the parts sum to the source with its peaks clipped: integers cannot do otherwise."""
    return all(part.exact for part in task.parts) and all(info.encoding in BITS for info in checked.infos)


def _describe_clipping(name: str, count: int, chosen: AudioFormat) -> str:
    if not name:
        return f"the song: {count} samples over full scale were clipped, as a player does"
    return f"{name}: {count} samples were clipped at {f'{chosen.bits} bits' if chosen.bits else 'full scale'}"


def _is_final(checked: Checked, index: int, chosen: AudioFormat) -> bool:
    """Tell whether a part is already what is wanted: encoding it again could only lose something."""
    info, shape = checked.infos[index], checked.source
    if checked.alignment.lags[index] or info.container != chosen.container:
        return False
    if (info.sample_rate, info.channels) != (shape.sample_rate, shape.channels):
        return False
    difference = abs(checked.frames[index] - shape.frames)
    if not chosen.is_lossless:
        return difference <= LOSSY_SLACK
    return difference == 0 and (info.encoding == "float" if chosen.is_float else BITS.get(info.encoding) == chosen.bits)


def _finish(path: Path, product: Product, stopper: Stopper) -> Stem:
    with path.open("rb+") as opened:
        os.fsync(opened.fileno())
    record = hash_file(path, stopper.check)
    return Stem(name=product.name, label=product.label, path=path, size=record.size, sha256=record.sha256)


def _describe_changes(checked: Checked, chosen: AudioFormat) -> list[str]:
    """Say how the source was read, and what was done to the parts as a whole."""
    shape = checked.source
    notes = [*([checked.note] if checked.note else []), *checked.alignment.notes]
    notes += sorted({_describe_part(info, shape) for info in checked.infos} - {""})
    lengths = {
        frames - lag - shape.frames
        for frames, info, lag in zip(checked.frames, checked.infos, checked.alignment.lags, strict=True)
        if info.sample_rate == shape.sample_rate and not (chosen.container == info.container and not chosen.is_lossless)
    } - {0}
    notes += [
        f"{'cut' if extra > 0 else 'padded'} {abs(extra)} samples at the end to the source's length"
        for extra in sorted(lengths)
    ]
    if tail := count_tail(chosen, shape.frames):
        notes.append(f"programs that ignore an M4A's end mark play {tail} samples more; flac, wav and mp3 are exact")
    return notes


def _describe_part(info: AudioInfo, shape: Shape) -> str:
    changes = []
    if info.sample_rate != shape.sample_rate:
        changes.append(f"the source's {shape.sample_rate} Hz from {info.sample_rate} Hz")
    if info.channels != shape.channels and can_match_channels(info.channels, shape.channels):
        changes.append(f"the source's {shape.channels} channels from {info.channels}")
    return f"restored {' and '.join(changes)}" if changes else ""
