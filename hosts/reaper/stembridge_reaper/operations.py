"""What a request means: the operations of its preset, or the labelling of files."""

from __future__ import annotations

from plugin_core.defaults import TagsSettings
from plugin_core.errors import UsageError
from plugin_core.model import Operation, Tagging
from plugin_core.presets import find_preset
from plugin_core.session import Session
from stembridge_reaper.protocol import Request
from stembridge_reaper.settings import ReaperSettings


def choose_operations(session: Session, request: Request, settings: ReaperSettings) -> tuple[Operation, ...]:
    """Return what to do to each file.

    Raises:
        UsageError: there is no such preset, or nobody who labels.
    """
    if request.kind == "separate":
        return find_preset(session.settings, request.preset).operations
    if request.kind == "label":
        return _label_operations(session, request.preset or settings.label_preset)
    raise UsageError(f"a request of kind {request.kind!r} is unknown", remedy="run `stembridge reaper install` again")


def _label_operations(session: Session, name: str) -> tuple[Operation, ...]:
    if name:
        preset = find_preset(session.settings, name)
        found = tuple(one for one in preset.operations if isinstance(one, Tagging))
        if not found:
            raise UsageError(f"preset {preset.name!r} labels nothing", remedy="correct [reaper] label_preset")
        return found
    wish = session.settings.section("tags", TagsSettings).as_operation()
    if not session.taggers:
        raise UsageError("no tagger is installed", remedy="stembridge plugins lists what is")
    if not wish.provider and len(session.taggers) > 1:
        names = ", ".join(sorted(session.taggers))
        raise UsageError(f"there are several taggers ({names})", remedy="name one in [tags] provider")
    return (wish,)
