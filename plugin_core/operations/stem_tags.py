"""What stems carry over from their source's tags, and what they say of themselves."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_core._version import __version__
from plugin_core.errors import SourceError
from plugin_core.model import Job
from plugin_core.operations.folders import wish_of
from plugin_core.purchases.quotes import describe_options
from plugin_core.stems.template import Template

if TYPE_CHECKING:
    from plugin_core.stems.render import TagStem


def read_fields(source: Path, template: Template) -> dict[str, str]:
    """Return the template fields that come from the source's tags; a song without them has a place as well."""
    if not template.needs_tags:
        return {}
    from plugin_core.tags.read import read_tags

    fields: dict[str, tuple[str, ...]] = {}
    # Broken tags cost the song its place in a tidy tree, not its stems.
    with contextlib.suppress(SourceError):
        fields = dict(read_tags(source).fields)
    missing = {"artist": "Unknown Artist", "album": "Unknown Album", "title": source.stem}
    return {name: fields.get(name, (other,))[0] for name, other in missing.items()}


def make_tagger() -> TagStem:
    """Return what gives stems their tags, with those of their source read once."""
    from plugin_core.tags.copy import read_leniently, tag_stem

    read = functools.cache(read_leniently)

    def tag(source: Path, stem_file: Path, stem_title: str, provenance: Mapping[str, str]) -> None:
        tag_stem(source, stem_file, stem_title=stem_title, provenance=provenance, tags=read(source))

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
