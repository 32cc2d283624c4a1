"""Taking the stems of a finished job instead of buying them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

import msgspec

from plugin_core.files.copying import copy_file, explain_os_error
from plugin_core.files.exclusive import sync_folder
from plugin_core.model import Stem
from plugin_core.stem_names import title
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


def copy_stems(stems: Sequence[Stem], layout: Layout, stopper: Stopper) -> tuple[Stem, ...]:
    """Copy finished stems into staging under the layout's paths.

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
        raise explain_os_error(error, layout.root) from error
    return tuple(copies)


def layout_of(staging: Path, depth: int, paths: Sequence[PurePath]) -> Layout:
    """Return the layout of stems that are about to be staged."""
    return Layout(ready_folder(staging, depth), depth, tuple(paths))
