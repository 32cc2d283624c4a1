"""From labels to the fields of an item, by policy, and back again.

What stood in a field before stands in ``labels_undo``, beside what was written: labelling anew starts from there, and
``--undo`` puts it back, both only where nobody has changed the field since.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import mediafile

from plugin_core import decide
from plugin_core.model import Label, Tagging
from plugin_core.wishes import DIMENSIONS
from stembridge_beets.fields import FIELD_OF, IS_FILE_READ, is_list, own_lists, probability_field
from stembridge_beets.tasks import path_of

if TYPE_CHECKING:
    from beets.library import Item

UNDO: Final = "labels_undo"
ALBUM_GENRES: Final = "labels_genres"
"""What an album was given, so that it is known from what somebody else wrote there."""

Values = tuple[str, ...]
History = dict[str, tuple[Values, Values]]
"""By dimension, what stood there before and what was written."""


def put_labels(item: Item, labels: Sequence[Label], wish: Tagging) -> dict[str, str]:
    """Set the fields of an item; whoever calls writes and stores it.

    Returns:
        Why nothing was written, by dimension, in words for people.
    """
    history = read_history(item)
    wanted = wish.dimensions or DIMENSIONS
    before = {name: _before(item, name, history) for name in wanted}
    decision = decide(labels, wish, before)
    for name in wanted:
        values = _fit(name, decision.fields.get(name, before[name]))
        _set(item, name, values)
        history.pop(name, None)
        if values != before[name]:
            history[name] = (before[name], values)
    _put_probabilities(item, labels, wanted)
    item["labels_provider"] = wish.provider
    item["labels_dimensions"] = sorted({*(item.get("labels_dimensions", with_album=False) or ()), *wanted})
    _write_history(item, history)
    return decision.left


def take_back(item: Item) -> list[str]:
    """Put back what stood in the fields before; whoever calls writes and stores the item, then calls ``tidy``.

    Returns:
        The dimensions that keep their values, since somebody has changed them.
    """
    changed = []
    for name, (before, after) in read_history(item).items():
        values = get_values(item, name)
        if values == after:
            _set(item, name, before)
        elif values != before:
            changed.append(name)
    return changed


def tidy(item: Item, *, is_written: bool = True) -> None:
    """Take off an item what labelling left beside the labels, and the fields that are empty again.

    Where the file was not written an empty list stays: by it ``beet write`` knows that the tag is to go.
    """
    ours = {probability_field(name) for name in DIMENSIONS} | {"labels_provider", "labels_dimensions", UNDO}
    for name in ours | {FIELD_OF[name] for name in own_lists() if is_written and not get_values(item, name)}:
        if name in item.keys(with_album=False):
            del item[name]


def put_album_genres(item: Item) -> None:
    """Give an item's album the genres of its songs, the most frequent first, where it has none but those from here."""
    album = item.get_album() if FIELD_OF["genre"] == "genres" else None
    if album is None:
        return
    standing, ours = list(album.genres or ()), list(album.get(ALBUM_GENRES) or ())
    if standing and standing != ours:
        return
    found = [name for name, _ in Counter(name for song in album.items() for name in song.genres or ()).most_common()]
    if found != standing:
        album["genres"] = album[ALBUM_GENRES] = found
        album.store(inherit=False)


def get_values(item: Item, dimension: str) -> Values:
    """Return what stands in a dimension's field in the library."""
    value: Any = item.get(FIELD_OF[dimension], with_album=False)
    if not value:
        return ()
    return (str(value),) if isinstance(value, str) else tuple(str(one) for one in value)


def read_history(item: Item) -> History:
    """Return what was written into an item, and over what; nothing where that cannot be read."""
    try:
        found = json.loads(str(item.get(UNDO, with_album=False) or "{}"))
        return {name: (tuple(before), tuple(after)) for name, (before, after) in found.items() if name in DIMENSIONS}
    except (ValueError, TypeError, AttributeError):
        return {}


def is_labelled(item: Item, wish: Tagging) -> bool:
    """Tell whether labelling could add nothing: it was done, or every field is full and is not to be changed."""
    wanted = wish.dimensions or DIMENSIONS
    if set(wanted) <= set(item.get("labels_dimensions", with_album=False) or ()):
        return True
    policies = {wish.policies.get(name, wish.policy) for name in wanted}
    return policies == {"fill"} and all(get_values(item, name) for name in wanted)


def _write_history(item: Item, history: History) -> None:
    item[UNDO] = json.dumps(history, ensure_ascii=False, separators=(",", ":"))


def _before(item: Item, dimension: str, history: Mapping[str, tuple[Values, Values]]) -> Values:
    """Return what stood in a field before we ever wrote it."""
    values = get_values(item, dimension)
    before, after = history.get(dimension, ((), None))
    if after is not None and values == after:
        return before
    if not values and dimension in own_lists() and not IS_FILE_READ:
        return _read_file(item, FIELD_OF[dimension])
    return values


def _read_file(item: Item, field: str) -> Values:
    """Return what stands in the file, where beets does not read it into the library."""
    try:
        found = getattr(mediafile.MediaFile(path_of(item)), field)
    except mediafile.UnreadableFileError:
        # Writing it will say so.
        return ()
    return tuple(str(one) for one in found or ())


def _fit(dimension: str, values: Values) -> Values:
    """Return what the field can hold: the first value, which is what stood there already, where it is no list."""
    return values if is_list(dimension) else values[:1]


def _set(item: Item, dimension: str, values: Values) -> None:
    if values == get_values(item, dimension):
        return
    value: Any = list(values) if is_list(dimension) else "".join(values[:1])
    item[FIELD_OF[dimension]] = value


def _put_probabilities(item: Item, labels: Sequence[Label], wanted: Sequence[str]) -> None:
    for name in wanted:
        known = [one.probability for one in labels if one.dimension == name and one.probability is not None]
        field = probability_field(name)
        if known:
            item[field] = max(known)
        elif field in item.keys(with_album=False):
            del item[field]
