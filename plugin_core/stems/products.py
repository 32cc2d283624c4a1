"""What to make of a provider's parts: which files, out of what, under which names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from plugin_core.errors import PlacementError
from plugin_core.model import Part, Separation
from plugin_core.stem_names import INSTRUMENTAL, RESIDUAL, VOCALS, canonical, distinct, title, without

_MIXES: Final = frozenset({INSTRUMENTAL, "instrumental-only", "back-instrumental"})
"""Parts that repeat drums, bass and the like where those come as parts of their own."""


class Product(msgspec.Struct, frozen=True):
    """One file to make."""

    name: str
    """Canonical name."""
    label: str
    """The provider's word for it, or ours where it is derived."""
    plus: int | None = None
    """Index of the part it is."""
    minus: tuple[int, ...] = ()
    """Indexes of the parts to subtract from the source; empty for a part."""

    @property
    def title(self) -> str:
        """Name for people."""
        return title(self.name)


def name_parts(parts: Sequence[Part]) -> list[str]:
    """Return the canonical name of every part, no two alike."""
    return distinct([canonical(part.stem) for part in parts])


def list_products(parts: Sequence[Part], wish: Separation) -> tuple[list[Product], list[str]]:
    """Return the files to make, and what the user should know about wishes that could not be met.

    Raises:
        PlacementError: none of the wanted stems is there, or one to subtract is missing.
    """
    names = name_parts(parts)
    wanted = {canonical(stem) for stem in wish.stems}
    # Who asks for the song without its drums wants that file, not four others beside it.
    is_all = not wanted and not wish.minus
    products = [
        Product(name, part.label, plus=index)
        for index, (name, part) in enumerate(zip(names, parts, strict=True))
        if is_all or name in wanted or canonical(part.stem) in wanted
    ]
    if INSTRUMENTAL in wanted and INSTRUMENTAL not in names and VOCALS in names:
        products.append(Product(INSTRUMENTAL, title(INSTRUMENTAL), minus=(names.index(VOCALS),)))
    products += [_subtract(stem, names) for stem in wish.minus]
    if wish.residual:
        products.append(Product(RESIDUAL, title(RESIDUAL), minus=_that_sum(names)))
    if not products:
        raise PlacementError(f"the provider gave none of the wanted stems, only {', '.join(names)}")
    missing = sorted(wanted - {product.name for product in products} - set(names))
    notes = [f"no {stem} came back, only {', '.join(names)}" for stem in missing]
    unique = distinct([product.name for product in products])
    return [msgspec.structs.replace(one, name=name) for one, name in zip(products, unique, strict=True)], notes


def _that_sum(names: Sequence[str]) -> tuple[int, ...]:
    """Return the indexes of the parts that make up the source: a mix of other parts would be subtracted twice."""
    singles = [name for name in names if name not in _MIXES]
    has_instruments = any(not name.endswith("vocals") for name in singles)
    return tuple(index for index, name in enumerate(names) if name not in _MIXES or not has_instruments)


def _subtract(stem: str, names: Sequence[str]) -> Product:
    name = canonical(stem)
    if name not in names:
        raise PlacementError(f"{name} cannot be subtracted: the provider gave only {', '.join(names)}")
    return Product(without(name), title(without(name)), minus=(names.index(name),))
