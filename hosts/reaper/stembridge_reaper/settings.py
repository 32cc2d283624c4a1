"""Settings of the REAPER host: section ``reaper``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class ReaperSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to the selected items, and in the project; read by the worker at every run."""

    used_part_only: bool | None = None
    """Cut the part that the items play out of a long file, and separate only that: fewer credits. None: where a
    service does it; what this machine does costs nothing, and whole files serve later edits."""
    handles: Annotated[float, msgspec.Meta(ge=0, le=600)] = 1.0
    """Seconds kept on both sides of a used part, for later edits and for the separator's context."""
    stems_in: Literal["source", "project"] = "source"
    """Whether stems stand beside their source, or in the project's media folder; there also where the folder of a
    source cannot be written."""
    stem_tracks: Literal["beside", "inside", "takes"] = "beside"
    """Whether the folder with the stems stands below the source track as a track of its own, or inside it, so that its
    effects, sends and envelopes act on the stems; or the stems become takes of the item, the one that is heard as
    before."""
    mute_source: bool = True
    """Mute a source item once its stems are inserted."""
    replace_source: bool = False
    """Delete it then, unless it has other takes."""
    show_in_items: bool = True
    """Show in the notes of the items how far the work is; the line goes when the stems come."""
    label_preset: str = ""
    """Preset whose taggings ``Label selected items' files`` does; empty does what ``[tags]`` says."""
    keep_days: Annotated[float, msgspec.Meta(ge=1, le=36_500)] = 30.0
    """Days after which finished runs are forgotten; their stems stay where they are."""
