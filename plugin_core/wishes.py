"""What people wish for: each wish declared once, with its default, its bounds and how people say it.

The options of the command line, the keys of presets, those of ``[separate]``, ``[stems]`` and ``[tags]`` in the
settings, and what ``--help`` tells of all these come from here. This module imports nothing of ours.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_type_hints

import msgspec

OnOverload = Literal["refuse", "scale", "float"]
"""What becomes of what lies over full scale, where the format of the stems cannot hold it."""
Policy = Literal["fill", "append", "replace"]
Labels = Literal["en", "zh"]
LanguageCodes = Literal["639-2", "639-3"]
HardLinks = Literal["break", "refuse"]
MoodFrames = Literal["both", "TMOO", "TXXX"]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
DIMENSIONS = ("mood", "genre", "language", "scene", "vocal", "bgm", "intensity")
"""What labels are usually about; a tagger may find others."""
Dimension = Annotated[str, msgspec.Meta(extra=dict.fromkeys(DIMENSIONS))]
"""Any word, but none that is a slip of a usual one."""

NO_PROJECT = "none"
DEFAULT_TEMPLATE = "{name}.stems/{name} - {stem}.{ext}"

S = TypeVar("S", bound=msgspec.Struct)


class Said(msgspec.Struct, frozen=True):
    """How people say one field of a wish. Every field is a key of presets."""

    help: str = ""
    """What its option is for; "" for a field that has none. The option's name is the field's."""
    metavar: str = ""
    option: str = ""
    """Name of the option, where it is another."""
    setting: Any = None
    """Type of its key in the settings, with words and bounds; None for a field that has none."""
    section: str = ""
    """Section of that key, where it is not the one of its kind of wish: it then holds for every preset."""
    default: Any = None
    """Of that key, where the field itself has none."""
    for_presets: bool = False
    """Whether the settings' word also holds where a preset leaves it open; for a tagging all of them do."""
    by_dimension: str = ""
    """The field that holds what the same option says of single dimensions: ``fill,genre=append``."""


class Separation(msgspec.Struct, frozen=True, kw_only=True, tag="separation", tag_field="kind"):
    """The wish to split a source into stems."""

    provider: Annotated[
        str,
        Said(
            "Who separates: a service, local (default), neural, or auto: the best here.",
            "NAME",
            setting=str,
            default="local",
            for_presets=True,
        ),
    ]
    model: Annotated[str, Said("One of: stembridge models.", "ID", setting=str)] = ""
    options: Annotated[dict[str, str], Said("An option of the model; repeat.", "K=V", option="option")] = {}
    stems: Annotated[tuple[str, ...], Said("Stems to keep, instrumental among them; default all.", "A,B")] = ()
    """Canonical names that are wanted; empty means every stem the model gives, or none when there is a ``minus``.

    ``instrumental`` can be had of any model that gives vocals."""
    minus: Annotated[tuple[str, ...], Said("The song without each of these; with --stems, beside those.", "A,B")] = ()
    """Stems to subtract from the source, each giving one ready "minus one"."""
    residual: Annotated[bool, Said("Also what all stems together leave over.")] = False
    format: Annotated[str, Said("{formats}; default lossless.", "NAME", setting=str)] = ""
    """One of ``plugin_core.audio.formats``; empty picks the provider's default for the source."""
    on_overload: Annotated[
        OnOverload,
        Said(
            "If the format cannot hold the song's peaks: refuse (default), scale all stems, or write float.",
            setting=OnOverload,
            for_presets=True,
        ),
    ] = "refuse"
    """``refuse`` a float source that the format would clip, before anything is sent; ``scale`` all stems by one gain;
    or write them as ``float``. A lossy source, and what is paid for, is clipped under ``refuse``."""
    to: Annotated[Path | None, Said("Place results below DIR, a folder that is there, not beside the song.", "DIR")] = (
        None
    )
    """Folder to place the result under; None means the source's own folder."""
    template: str = ""
    """Path template of a stem; empty means the setting ``stems.template``."""
    project: Annotated[
        str,
        Said(
            "Also a session file of the stems: rpp (REAPER), dawproject; A,B for several, none for none.",
            "NAME",
            setting=str,
            section="stems",
        ),
    ] = ""
    """Names of session formats, parted by commas, or ``none``; empty means the setting ``stems.project``."""
    as_is: Annotated[
        bool, Said("Place what comes back as it came: not held against the song, nothing moved or converted.")
    ] = False
    """Whether results are placed byte for byte as they came, and never held against the source: what is no part of it
    by nature (speech, a restored or mastered song). A plan sets it for models that give such results."""

    @property
    def projects(self) -> tuple[str, ...]:
        """The names of the session files."""
        words = (word.strip().lower() for word in self.project.split(","))
        return tuple(dict.fromkeys(word for word in words if word not in ("", NO_PROJECT)))


class Tagging(msgspec.Struct, frozen=True, kw_only=True, tag="tagging", tag_field="kind"):
    """The wish to label a source in its own tags."""

    provider: Annotated[str, Said("Who labels; default the only one there is.", "NAME", setting=str, default="")]
    dimensions: Annotated[
        tuple[str, ...],
        Said(f"Of {', '.join(DIMENSIONS)}; default all.", "A,B", setting=tuple[Dimension, ...]),
    ] = ()
    min_probability: Annotated[
        float,
        Said(
            "Write no label less probable (0.5); also 0.5,mood=0.3.",
            "P",
            setting=Probability,
            by_dimension="thresholds",
        ),
    ] = 0.5
    thresholds: Annotated[dict[str, float], Said(setting=dict[Dimension, Probability])] = {}
    """By dimension, in place of ``min_probability``."""
    labels: Annotated[str, Said("English names, or the service's own Chinese ones.", setting=Labels)] = "en"
    policy: Annotated[
        str,
        Said(
            "fill only what is empty (default), append or replace; also fill,genre=append.",
            "HOW",
            setting=Policy,
            by_dimension="policies",
        ),
    ] = "fill"
    policies: Annotated[dict[str, str], Said(setting=dict[Dimension, Policy])] = {}
    """By dimension, in place of ``policy``."""
    language_codes: Annotated[str, Said("639-3 tells Mandarin and Cantonese apart.", setting=LanguageCodes)] = "639-2"
    """``639-2``, which ID3 wants, or ``639-3``."""
    provenance: Annotated[bool, Said("Also a field that says who found what, and when.", setting=bool)] = False
    """Whether a field STEMBRIDGE_MUSICTAG says which job found what, with which probability."""
    fields: Annotated[dict[str, str], Said(setting=dict[str, str])] = {}
    """The field that a dimension is written to, where not to its own: ``grouping``, ``comment``, a new word."""
    names: Annotated[dict[str, str], Said(setting=dict[str, str])] = {}
    """The user's own words for labels, by the English or the service's own one; for languages as well."""
    write: bool = True
    """Whether the file's tags are written; a host that keeps tags itself only wants the labels."""


Operation = Separation | Tagging


class SeparateKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What ``stembridge separate`` does when no option says otherwise, read as ``SEPARATE``."""

    preset: str = ""
    """Preset to start from; empty means what the other keys say."""

    def as_operation(self) -> Separation:
        """Return the separation these settings describe."""
        return Separation(**{name: getattr(self, name) for name in said_of(Separation) if hasattr(self, name)})


class StemsKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Where stems go and what stands beside them, whoever asks for them, read as ``STEMS``."""

    template: str = DEFAULT_TEMPLATE
    """Path of a stem below the destination."""

    @property
    def usual_project(self) -> str:
        """The session files that stand beside stems where a wish says nothing."""
        return str(getattr(self, "project", ""))


class TagsKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What ``stembridge tag`` does when no option says otherwise, read as ``TAGS``."""

    separator: str = ""
    """What stands between values in ID3 before v2.4; empty for what the tag shows already, or a slash."""
    mood_frames: MoodFrames = "both"
    """Where ID3v2.4 says the mood: ``TMOO``, ``TXXX`` or both; before v2.4 there is ``TXXX`` alone."""
    hard_links: HardLinks = "break"
    """What happens to a file with several names: the others keep the old tags, or it is left alone."""
    keep_mtime: bool = False
    """Whether a tagged file keeps its time of change."""

    def as_operation(self) -> Tagging:
        """Return the tagging these settings describe."""
        return Tagging(**{name: getattr(self, name) for name in said_of(Tagging) if hasattr(self, name)})


@cache
def said_of(kind: type[msgspec.Struct]) -> dict[str, Said]:
    """Return how people say the fields of a wish, by name, in their order."""
    hints = get_type_hints(kind, include_extras=True)
    found = {name: next(filter(_is_said, get_args(hints[name])), None) for name in kind.__struct_fields__}
    return {name: said for name, said in found.items() if said is not None}


def _is_said(part: object) -> bool:
    return isinstance(part, Said)


def with_keys_of(kind: type[msgspec.Struct], section: type[S], name: str = "") -> type[S]:
    """Return a section of the settings that also has the keys of a wish that stand there."""
    usual = {field.name: field for field in msgspec.structs.fields(kind)}
    keys = [
        (key, said.setting, _default(usual[key], said))
        for key, said in said_of(kind).items()
        if said.setting is not None and said.section == name
    ]
    return cast("type[S]", msgspec.defstruct(section.__name__, keys, bases=(section,), frozen=True, kw_only=True))


def _default(field: msgspec.structs.FieldInfo, said: Said) -> Any:
    if callable(field.default_factory):
        return msgspec.field(default_factory=field.default_factory)
    return said.default if field.required else field.default


SEPARATE = with_keys_of(Separation, SeparateKeys)
"""Section ``separate``."""
STEMS = with_keys_of(Separation, StemsKeys, "stems")
"""Section ``stems``."""
TAGS = with_keys_of(Tagging, TagsKeys)
"""Section ``tags``."""
