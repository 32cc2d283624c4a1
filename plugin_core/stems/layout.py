"""How stems are named by a template, and how they lie in staging, which says all that is needed to place them.

They stand in a folder ``ready-<depth>-<random>`` under the paths they will have under the destination; ``depth`` is the
number of components of the source's own folder, 0 when its stems go into a folder shared with others. The path
template is not asked again once stems are staged: settings may change while a job runs.
"""

from __future__ import annotations

import os
import secrets
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePath
from typing import Final

import msgspec

from plugin_core.errors import PlacementError, SettingsError, UsageError
from plugin_core.files.checksum import Check, Record, hash_file, is_unmodified
from plugin_core.files.names import (
    HIDDEN_PREFIX,
    MAX_BYTES,
    NUMBER_BYTES,
    clean_component,
    count_bytes,
    fold,
    fold_all,
    shorten,
)
from plugin_core.model import Stem, show_path
from plugin_core.tasks import Stopper
from plugin_core.wishes import StemsKeys

FIELDS: Final = ("name", "stem", "ext", "provider", "model", "artist", "title", "album")
_TAG_FIELDS: Final = frozenset({"artist", "title", "album"})
_KEPT_WHOLE: Final = frozenset({"stem", "ext"})


Piece = tuple[str, str]
"""Literal text, and the field that follows it or nothing."""


class Template(msgspec.Struct, frozen=True):
    """A checked path template."""

    components: tuple[tuple[Piece, ...], ...]
    """One entry for each folder, the last for the file."""

    @property
    def fields(self) -> frozenset[str]:
        """The fields in use."""
        return frozenset(field for component in self.components for _, field in component if field)

    @property
    def needs_tags(self) -> bool:
        """Whether the source's tags must be read."""
        return not self.fields.isdisjoint(_TAG_FIELDS)

    @property
    def depth(self) -> int:
        """How many components the source's own folder takes; 0 when its stems share a folder with others."""
        for number, component in enumerate(self.components[:-1], 1):
            used = {field for _, field in component}
            if used & _KEPT_WHOLE:
                return 0
            if "name" in used:
                return number
        return 0

    def render(self, values: Mapping[str, str]) -> PurePath:
        """Return the relative path of one stem, each component clean and short enough to be numbered.

        Raises:
            UsageError: the template's own text is longer than a file name may be.
        """
        return PurePath(*(_render_component(component, values) for component in self.components))


def choose_template(wished: str, settings: StemsKeys) -> Template:
    """Return the template of a wish, or that of the settings where it names none.

    Raises:
        UsageError: it is wrong; SettingsError where it is a setting.
    """
    return parse_template(wished or settings.template, is_setting=not wished)


@lru_cache(maxsize=16)
def parse_template(text: str, *, is_setting: bool = False) -> Template:
    """Check a template.

    Args:
        text: the template.
        is_setting: whether it comes from the settings, and not from an option of the command.

    Raises:
        UsageError: an unknown field, no ``{stem}``, no ``.{ext}`` at the end, or a path that leaves the destination;
            SettingsError where it is a setting.
    """
    kind = SettingsError if is_setting else UsageError
    try:
        template = Template(tuple(_parse_component(part) for part in text.split("/")))
    except ValueError as error:
        raise kind(f"template {text!r}: {error}", remedy="write a field as {name}, a brace as {{ or }}") from error
    unknown = sorted(template.fields - set(FIELDS))
    if unknown:
        raise kind(f"template {text!r}: unknown field {unknown[0]!r}", remedy=f"known fields are {', '.join(FIELDS)}")
    if "stem" not in template.fields or not text.endswith(".{ext}"):
        raise kind(f"template {text!r} would give stems one name", remedy="it needs {stem} and ends with .{ext}")
    for component in template.components:
        literal = "".join(before for before, _ in component)
        if not any(field for _, field in component) and literal.strip(". ") == "":
            raise kind(f"template {text!r} leaves the destination or has an empty folder", remedy="use plain folders")
    return template


def template_values(source: Path, *, title: str, suffix: str, provider: str, model: str) -> dict[str, str]:
    """Return the values of every field that needs no tags; ``suffix`` with its dot."""
    return {"name": source.stem, "stem": title, "ext": suffix.lstrip("."), "provider": provider, "model": model}


def _parse_component(text: str) -> tuple[Piece, ...]:
    pieces = []
    for literal, field, spec, conversion in string.Formatter().parse(text):
        if spec or conversion or field == "":
            raise ValueError("a field is a plain name")
        pieces.append((literal, field or ""))
    return tuple(pieces)


def _render_component(component: tuple[Piece, ...], values: Mapping[str, str]) -> str:
    limit = MAX_BYTES - NUMBER_BYTES
    known = dict(values)
    for field in sorted({field for _, field in component if field} - _KEPT_WHOLE, key=lambda one: -len(known[one])):
        excess = count_bytes(_fill(component, known)) - limit
        if excess <= 0:
            break
        known[field] = _reduce(component, known, field, excess)
    text = _fill(component, known)
    if count_bytes(text) > limit:
        raise UsageError(f"the template makes a file name of {count_bytes(text)} bytes", remedy="shorten the template")
    return text


def _reduce(component: tuple[Piece, ...], values: Mapping[str, str], field: str, excess: int) -> str:
    times = sum(one == field for _, one in component)
    return shorten(values[field], max(9, count_bytes(values[field]) - -(-excess // times)))


def _fill(component: tuple[Piece, ...], values: Mapping[str, str]) -> str:
    return clean_component("".join(literal + (values[field] if field else "") for literal, field in component))


Records = Mapping[PurePath, Record]


STEMS_SUFFIX: Final = ".stems"
"""Ending of a folder that holds the stems of one song."""

RECORD: Final = f"{HIDDEN_PREFIX}made.json"
"""Name of what says, in the folder of a song, what files are that were placed as they came."""

LAST_NUMBER: Final = 9999
_LOOKED_AT: Final = 100
_READ_AT_MOST: Final = 1000
"""Entries of a folder; in a longer one the names are asked for one by one."""
_PREFIX: Final = "ready-"


def record_of(stem: Stem) -> Record:
    """Return what a job recorded of its stem."""
    return Record(stem.size, stem.sha256)


def are_unmodified(stems: Sequence[Stem], stopper: Stopper, hash_: Callable[[Path, Check], Record] = hash_file) -> bool:
    """Tell whether every stem is still where it was placed, byte for byte; False where there is none."""
    return bool(stems) and all(is_unmodified(stem.path, record_of(stem), stopper.check, hash_) for stem in stems)


def holds_only(folder: Path, records: Records) -> bool:
    """Tell whether a folder holds nothing but unmodified recorded files, by path relative to it, and at least one.

    What stembridge itself left word in counts for none.
    """
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        names = [name for name in _walk(folder) if name != PurePath(RECORD)]
    except OSError:
        # What may not be looked into may hold anything.
        return False
    return bool(names) and all(is_unmodified(folder / name, records.get(name)) for name in names)


def relative_records(stems: Iterable[Stem], folder: Path) -> dict[PurePath, Record]:
    """Return the records of the stems that were placed under a folder, by path relative to it; the first one counts.

    Args:
        stems: those placed last first.
        folder: the folder.
    """
    records: dict[PurePath, Record] = {}
    for stem in stems:
        if stem.path.is_relative_to(folder):
            records.setdefault(PurePath(stem.path.relative_to(folder)), record_of(stem))
    return records


def _refuse(error: OSError) -> None:
    raise error


def _walk(folder: Path) -> Iterable[PurePath]:
    """Yield everything that is no folder, links to folders included."""
    for base, folders, files in os.walk(folder, onerror=_refuse):
        links = [name for name in folders if (Path(base) / name).is_symlink()]
        yield from (PurePath((Path(base) / name).relative_to(folder)) for name in (*files, *links))


class Layout(msgspec.Struct, frozen=True):
    """Staged stems and their paths under a destination."""

    root: Path
    """The folder in staging that stands for the destination."""
    depth: int
    paths: tuple[PurePath, ...]
    """Relative path of each stem."""

    @property
    def unit(self) -> PurePath:
        """What is renamed as a whole: the source's own folder; without one, the first file, which stands for all."""
        return PurePath(*self.paths[0].parts[: self.depth]) if self.depth else self.paths[0]

    def unit_at(self, destination: Path, number: int) -> Path:
        """Return where the unit goes as the ``number``-th of its name."""
        return destination / _number(self.unit, number, is_file=not self.depth)

    def files_at(self, destination: Path, number: int) -> list[Path]:
        """Return where each stem goes as the ``number``-th of its name."""
        if not self.depth:
            return [destination / _number(path, number, is_file=True) for path in self.paths]
        folder = self.unit_at(destination, number)
        return [folder.joinpath(*path.parts[self.depth :]) for path in self.paths]

    def number_of(self, destination: Path, places: Sequence[Path]) -> int | None:
        """Return the number under which these are the places of the stems; None where they are not."""
        return next((one for one in range(1, _LOOKED_AT) if self.files_at(destination, one) == places), None)

    def with_beside(self, names: Iterable[str]) -> Layout:
        """Return the layout with files more, in the folder that holds all stems."""
        folder = PurePath(os.path.commonpath([path.parent for path in self.paths]))
        return msgspec.structs.replace(self, paths=(*self.paths, *(folder / name for name in names)))

    def find_begun(self, destination: Path, stems: Sequence[Stem], first: int = 1) -> int | None:
        """Return the number under which some of these very stems stand already, left by a run that did not end."""
        for number in self._numbers_in_use(destination, first):
            places = self.files_at(destination, number)
            if any(is_unmodified(place, record_of(stem)) for stem, place in zip(stems, places, strict=False)):
                return number
        return None

    def _numbers_in_use(self, destination: Path, first: int) -> Iterator[int]:
        """Yield the numbers under which anything stands."""
        units = (self.unit,) if self.depth else self.paths
        rows = [_Row(destination / unit, _ending(unit, is_file=not self.depth)) for unit in units]
        rows = [row for row in rows if row.may_stand]
        for number in range(first, first + _LOOKED_AT if rows else first):
            if any(row.stands(number) for row in rows):
                yield number

    def locate(self, target: Path) -> tuple[Path, int]:
        """Return the destination and number that make ``unit_at`` the target.

        Raises:
            PlacementError: the target was chosen for other stems.
        """
        destination = target
        for _ in self.unit.parts:
            destination = destination.parent
        for number in range(1, LAST_NUMBER + 1):
            if self.unit_at(destination, number) == target:
                return destination, number
        raise PlacementError(
            f"{show_path(target)} is no place for {show_path(Path(self.unit))}", remedy="retry the job"
        )


class _Row:
    """A name and its numbered neighbours, in plain strings: most numbers are free, and paths are slow.

    Args:
        path: the first of them.
        ending: what stays at the end of each.
    """

    def __init__(self, path: Path, ending: str) -> None:
        self._folder = str(path.parent)
        self._name = path.name.removesuffix(ending)
        self._ending = ending
        names = _list_names(self._folder)
        # Folded, since some file systems do not tell such names apart.
        start, end = fold(self._name), fold(ending)
        self._found = None if names is None else {one for one in names if one.startswith(start) and one.endswith(end)}

    @property
    def may_stand(self) -> bool:
        """Whether anything may be there under any number."""
        return self._found is None or bool(self._found)

    def stands(self, number: int) -> bool:
        """Tell whether anything is there under a number."""
        mark = "" if number == 1 else f" ({number})"
        name = f"{self._name}{mark}{self._ending}"
        if self._found is not None:
            return fold(name) in self._found
        try:
            os.lstat(f"{self._folder}{os.sep}{name}")
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return False
        return True


def find_staging(job_id: str, stems: Sequence[Stem]) -> Path | None:
    """Return the staging folder a job's stems were put in, wherever it would be put today; None when in none."""
    names = (job_id, f"{HIDDEN_PREFIX}{job_id}")
    return next((folder for stem in stems for folder in stem.path.parents if folder.name in names), None)


def ready_folder(staging: Path, depth: int) -> Path:
    """Return a new folder in staging that stands for the destination.

    No two are alike: a process that was frozen and thaws must not touch what another made in its place.
    """
    return staging / f"{_PREFIX}{depth}-{secrets.token_hex(4)}"


def read_layout(staging: Path, stems: Sequence[Stem]) -> Layout | None:
    """Return the layout of staged stems, or None when they stand in their place already (reused where they were)."""
    # In plain strings, since paths are slow.
    within = f"{staging}{os.sep}"
    paths = [str(stem.path) for stem in stems]
    if not paths or not all(path.startswith(within) for path in paths):
        return None
    name = paths[0].removeprefix(within).partition(os.sep)[0]
    depth = int(name.removeprefix(_PREFIX).partition("-")[0])
    return Layout(staging / name, depth, tuple(PurePath(path[len(within) + len(name) + 1 :]) for path in paths))


def _number(path: PurePath, number: int, *, is_file: bool) -> PurePath:
    if number == 1:
        return path
    ending = _ending(path, is_file=is_file)
    return path.with_name(f"{path.name.removesuffix(ending)} ({number}){ending}")


def _ending(path: PurePath, *, is_file: bool) -> str:
    """Return what stays at the end of a numbered name."""
    return path.suffix if is_file or path.suffix == STEMS_SUFFIX else ""


def _list_names(folder: str) -> list[str] | None:
    """Return the folded names in a folder; None where it is long or may not be read, and single names are asked for."""
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in islice(entries, _READ_AT_MOST + 1)]
    except FileNotFoundError:
        return []
    except OSError:
        return None
    return fold_all(found) if len(found) <= _READ_AT_MOST else None
