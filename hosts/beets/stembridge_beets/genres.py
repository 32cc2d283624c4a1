"""Genres as a collection wants them: of a list, and from special to general by a tree, as beets' lastgenre has both."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import yaml

from plugin_core.model import Label
from stembridge_beets.host import UserError

if TYPE_CHECKING:
    from confuse import Subview

LASTGENRE: Final = "lastgenre"
"""Instead of a file's path: the file that lastgenre ships."""

_FILES: Final = {"whitelist": "genres.txt", "canonical": "genres-tree.yaml"}


class Genres:
    """Chooses among genres.

    Args:
        allowed: the list, in lower case; None for all.
        parents: the genre above each, both in lower case.
    """

    def __init__(self, allowed: frozenset[str] | None = None, parents: Mapping[str, str] | None = None) -> None:
        self._allowed = allowed
        self._parents = parents or {}

    def choose(self, labels: Sequence[Label]) -> list[Label]:
        """Return labels with each genre, or its nearest ancestor, that the list has, each once; others are left out.

        Without a list a genre becomes the most general one above it. Labels of other dimensions stay as they are.
        """
        chosen: list[Label] = []
        seen: set[str] = set()
        for label in labels:
            if label.dimension != "genre":
                chosen.append(label)
                continue
            told = label.english or label.value
            name = self._choose_one(told)
            if name and name.lower() not in seen:
                seen.add(name.lower())
                chosen.append(label if name == told else msgspec.structs.replace(label, value=name, english=name))
        return chosen

    def _choose_one(self, genre: str) -> str:
        line = list(self._ancestors(genre.lower()))
        found = line[-1] if self._allowed is None else next((one for one in line if one in self._allowed), "")
        return genre if found == genre.lower() else found.title()

    def _ancestors(self, genre: str) -> Iterator[str]:
        seen: set[str] = set()
        while genre not in seen:
            yield genre
            seen.add(genre)
            genre = self._parents.get(genre, genre)


def read_genres(config: Subview) -> Genres:
    """Return the genres that our section of the configuration wants.

    Raises:
        UserError: a file cannot be read, or is no list and no tree.
    """
    whitelist, canonical = _find(config, "whitelist"), _find(config, "canonical")
    return Genres(
        frozenset(_read_list(whitelist)) if whitelist else None,
        dict(_walk(_read_tree(canonical))) if canonical else None,
    )


def _find(config: Subview, key: str) -> Path | None:
    said = config[key].get()
    if not said or said == "no":
        return None
    if said is True or said == LASTGENRE:
        # Looked for, not imported: lastgenre needs a library of its own to run.
        spec = importlib.util.find_spec("beetsplug.lastgenre")
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (found := Path(folder) / _FILES[key]).is_file():
                return found
        raise UserError(f"stembridge.{key}: this beets has no lastgenre whose file could be used; name a file")
    return Path(config[key].as_filename())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the genres in {path} cannot be read: {error}") from error


def _read_list(path: Path) -> Iterator[str]:
    for line in _read(path).splitlines():
        if (genre := line.strip().lower()) and not genre.startswith("#"):
            yield genre


def _read_tree(path: Path) -> Any:
    try:
        return yaml.safe_load(_read(path))
    except yaml.YAMLError as error:
        raise UserError(f"the tree of genres in {path} is no YAML: {error}") from error


def _walk(branch: Any, parent: str = "") -> Iterator[tuple[str, str]]:
    """Yield each genre of a tree with the one above it."""
    if isinstance(branch, Mapping):
        pairs: Iterable[tuple[Any, Any]] = branch.items()
    elif isinstance(branch, list):
        for one in branch:
            yield from _walk(one, parent)
        return
    else:
        pairs = [(branch, None)]
    for name, below in pairs:
        genre = str(name).lower()
        if parent:
            yield genre, parent
        if below is not None:
            yield from _walk(below, genre)
