"""From what a script read of items to the files they play: each once, with the seconds that are used of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from stembridge_reaper.protocol import ItemFacts, RequestProject
from stembridge_reaper.takes import NotUsableError, Section, Span, find_section, used_span


class UsableItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item that plays a file."""

    number: int
    """Of the item in the request, from 0."""
    facts: ItemFacts
    path: Path
    section: Section | None
    span: Span | None
    """Seconds of the file that it plays; None for the whole file."""

    @property
    def name(self) -> str:
        """The take's name, without the suffix where REAPER took it from the file."""
        said = self.facts.name
        return said if said and said != self.path.name else self.path.stem


class UsedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One root file."""

    path: Path
    spans: tuple[Span, ...]
    """Seconds that its items play; empty when one of them needs the whole file."""
    items: tuple[int, ...]


def read_items(project: RequestProject, items: Iterable[ItemFacts]) -> tuple[list[UsableItem], Counter[str]]:
    """Return the items that can be separated, and how many cannot, by reason."""
    usable: list[UsableItem] = []
    skipped: Counter[str] = Counter()
    for number, facts in enumerate(items):
        try:
            usable.append(read_item(project, facts, number))
        except NotUsableError as reason:
            skipped[str(reason)] += 1
    return usable, skipped


def read_item(project: RequestProject, facts: ItemFacts, number: int = 0) -> UsableItem:
    """Return an item with its file.

    Raises:
        NotUsableError: there is no file to separate.
    """
    if facts.fault:
        raise NotUsableError(facts.fault)
    if facts.is_midi:
        raise NotUsableError("MIDI")
    if not facts.take or not facts.sources:
        raise NotUsableError("empty")
    path = _path_of(project, facts)
    if facts.sources[-1].is_beats or facts.sources[-1].length <= 0:
        raise NotUsableError("without length")
    section = find_section(facts)
    return UsableItem(number=number, facts=facts, path=path, section=section, span=used_span(facts, section))


def _path_of(project: RequestProject, facts: ItemFacts) -> Path:
    root = facts.sources[-1]
    match root.kind.upper():
        case "MIDI" | "MIDIPOOL":
            raise NotUsableError("MIDI")
        case "RPP_PROJECT" | "RPP":
            raise NotUsableError("project in project")
        case "EMPTY":
            raise NotUsableError("empty")
    if root.path.lower().endswith((".rpp", ".rpp-bak")):
        raise NotUsableError("project in project")
    if not root.path:
        raise NotUsableError("empty")
    # A project may name its media from where it lies itself.
    path = Path(os.path.abspath(os.path.join(os.path.dirname(project.path), root.path)))  # noqa: PTH100, PTH120
    if not path.is_file():
        raise NotUsableError("with a missing file")
    return path


def group_by_file(items: Sequence[UsableItem]) -> list[UsedFile]:
    """Return each root file once, in the order in which items first play it."""
    groups: dict[str, list[UsableItem]] = {}
    for item in items:
        groups.setdefault(os.path.normcase(item.path), []).append(item)
    return [
        UsedFile(
            path=group[0].path,
            spans=tuple(sorted({item.span for item in group if item.span})) if all(i.span for i in group) else (),
            items=tuple(item.number for item in group),
        )
        for group in groups.values()
    ]
