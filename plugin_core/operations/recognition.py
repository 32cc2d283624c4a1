"""Stems of ours that stand beside a song though the job store knows nothing of them, recognised by their own tags.

A library that comes to a new machine brings its stems along, not the job store: what was bought there is not bought
again here.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from plugin_core.audio.formats import AudioFormat, resolve_format
from plugin_core.audio.probe import identify
from plugin_core.errors import SourceError
from plugin_core.files.hashing import hash_file
from plugin_core.files.names import HIDDEN_PREFIX
from plugin_core.model import Plan, Quote, Separation, Source, Stem
from plugin_core.operations.stem_tags import read_fields
from plugin_core.operations.wish import destination_of_wish
from plugin_core.purchases.quotes import describe_options
from plugin_core.recordings.digest import digest_of
from plugin_core.stem_names import RESIDUAL, canonical, without
from plugin_core.stems.fit import read_gain, widest_format
from plugin_core.stems.template import Template, template_values
from plugin_core.tags.read import read_tags

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
    for path, made in _made_here(folder, chosen):
        is_wished = (made.get("provider"), made.get("model")) == (wish.provider, wish.model)
        is_sent = made.get("options", "") == describe_options(quote)
        is_level = "gain" not in made or wish.on_overload == "scale"
        if is_wished and is_sent and is_level and _is_made_of(made, source, sound) and _is_whole(path, source, chosen):
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
