"""What the user usually wants: sections ``separate`` and ``tags`` of the settings, for all that asks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

OnOverload = Literal["refuse", "scale", "float"]
"""What becomes of what lies over full scale, where the format of the stems cannot hold it."""


class Separation(msgspec.Struct, frozen=True, kw_only=True, tag="separation", tag_field="kind"):
    """The wish to split a source into stems."""

    provider: str
    model: str = ""
    options: dict[str, str] = {}
    stems: tuple[str, ...] = ()
    """Canonical names that are wanted; empty means every stem the model gives, or none when there is a ``minus``.

    ``instrumental`` can be had of any model that gives vocals."""
    minus: tuple[str, ...] = ()
    """Stems to subtract from the source, each giving one ready "minus one"."""
    residual: bool = False
    """Whether source minus the sum of all stems is wanted as a stem of its own."""
    format: str = ""
    """One of ``plugin_core.audio.formats``; empty picks the provider's default for the source."""
    on_overload: OnOverload = "refuse"
    """``refuse`` a float source that the format would clip, before anything is sent; ``scale`` all stems by one gain;
    or write them as ``float``. A lossy source, and what is paid for, is clipped under ``refuse``."""
    to: Path | None = None
    """Folder to place the result under; None means the source's own folder."""
    template: str = ""
    """Path template of a stem; empty means the setting ``stems.template``."""
    as_is: bool = False
    """Whether results are placed byte for byte as they came, and never held against the source: what is no part of it
    by nature (speech, a restored or mastered song). A plan sets it for models that give such results."""


class Tagging(msgspec.Struct, frozen=True, kw_only=True, tag="tagging", tag_field="kind"):
    """The wish to label a source in its own tags."""

    provider: str
    dimensions: tuple[str, ...] = ()
    """mood, genre, language, scene, vocal, bgm, intensity; empty means all."""
    min_probability: float = 0.5
    labels: str = "en"
    policy: str = "fill"
    """``fill`` (only when empty), ``append`` or ``replace``."""
    thresholds: dict[str, float] = {}
    """By dimension, in place of ``min_probability``."""
    policies: dict[str, str] = {}
    """By dimension, in place of ``policy``."""
    language_codes: str = "639-2"
    """``639-2`` or ``639-3``; the latter tells Mandarin and Cantonese apart."""
    provenance: bool = False
    """Whether a field of its own says which job found what, with which probability."""
    write: bool = True
    """Whether the file's tags are written; a host that keeps tags itself only wants the labels."""


Operation = Separation | Tagging


class SeparateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``stembridge separate`` does when no option says otherwise: section ``separate``."""

    provider: str = "local"
    """Who separates; also for presets that leave it open."""
    model: str = ""
    """Model of that provider; empty means its own default."""
    format: str = ""
    """Format of the stems; empty means the provider's default for the source."""
    on_overload: OnOverload = "refuse"
    """``refuse``, ``scale`` or ``float``: what becomes of what the format cannot hold; also for presets."""
    preset: str = ""
    """Preset to start from; empty means provider, model and format above."""

    def as_operation(self) -> Separation:
        """Return the separation these settings describe."""
        return Separation(provider=self.provider, model=self.model, format=self.format, on_overload=self.on_overload)


Policy = Literal["fill", "append", "replace"]
Dimension = Literal["mood", "genre", "language", "scene", "vocal", "bgm", "intensity"]
Labels = Literal["en", "zh"]
LanguageCodes = Literal["639-2", "639-3"]
HardLinks = Literal["break", "refuse"]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]


class TagsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``stembridge tag`` does when no option says otherwise: section ``tags``."""

    provider: str = ""
    """Who labels; empty means the only tagger there is."""
    dimensions: tuple[Dimension, ...] = ()
    """mood, genre, language, scene, vocal, bgm, intensity; empty means all."""
    min_probability: Probability = 0.5
    """Labels less probable are not written."""
    thresholds: dict[Dimension, Probability] = {}
    """By dimension, in place of ``min_probability``."""
    labels: Labels = "en"
    """English names, or the service's own Chinese ones."""
    policy: Policy = "fill"
    """``fill`` (only when empty), ``append`` or ``replace``."""
    policies: dict[Dimension, Policy] = {}
    """By dimension, in place of ``policy``."""
    language_codes: LanguageCodes = "639-2"
    """ISO 639-2, which ID3 wants, or 639-3, which tells Mandarin and Cantonese apart."""
    provenance: bool = False
    """Whether a field STEMBRIDGE_MUSICTAG says what was found, by whom and when."""
    hard_links: HardLinks = "break"
    """What happens to a file with several names: the others keep the old tags, or it is left alone."""
    keep_mtime: bool = False
    """Whether a tagged file keeps its time of change."""

    def as_operation(self) -> Tagging:
        """Return the tagging these settings describe."""
        return Tagging(**{name: getattr(self, name) for name in Tagging.__struct_fields__ if hasattr(self, name)})
