"""One name for each stem, whatever the service calls it.

A canonical name is lower-case words joined by hyphens ("lead-vocals"); a title is what people read ("Lead Vocals").
In a session stems have an order, and a colour each.
Imports nothing heavy: the command line completes stem names with it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

RESIDUAL: Final = "residual"
"""Source minus the sum of all parts."""

VOCALS: Final = "vocals"
INSTRUMENTAL: Final = "instrumental"
"""Everything but the vocals: a part of some models, and of any with vocals what the source leaves of them."""

_LONGEST: Final = 48

_SAME_AS: Final = {
    "vocals": "vocal voice voices vox acapella a-cappella acappella all-vocals 人声",
    "instrumental": "instrum instrument instruments instrumentals accompaniment karaoke backing-track no-vocal 伴奏",
    "drums": "drum drumset drum-kit drums-full",
    "bass": "bass-guitar basses",
    "other": "others rest remainder",
    "guitar": "guitars all-guitar",
    "piano": "pianos",
    "lead-vocals": "vocals-lead vocal-lead lead-vocal vocalslead leadvocals main-vocals main-vocal",
    "back-vocals": "vocals-back vocal-back back-vocal vocalsback backvocals backing-vocals backing-vocal vocals-backing"
    " background-vocals",
    "male-vocals": "male vocals-male male-vocal",
    "female-vocals": "female vocals-female female-vocal",
    "instrumental-only": "instrum-only",
    "back-instrumental": "back-instrum back-vocals-instrumental",
    "hi-hat": "hihat hh hi-hats hihats",
    "kick": "kick-drum bass-drum kicks",
    "snare": "snare-drum snares",
    "toms": "tom",
    "cymbals": "cymbal",
    "speech": "dialog dialogue",
    "sfx": "effects effect fx sound-effects",
    "no-reverb": "noreverb dereverb",
    "reverb": "reverberation",
    "acoustic-guitar": "guitar-acoustic",
    "electric-guitar": "guitar-electric",
    "lead-guitar": "guitar-lead",
    "rhythm-guitar": "guitar-rhythm",
    RESIDUAL: "residue inverted-residue invert",
}

_CANONICAL: Final = {word: name for name, words in _SAME_AS.items() for word in (name, *words.split())}
_TITLES: Final = {"sfx": "SFX", "hi-hat": "Hi-Hat"}


Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

_ORDER: Final = (VOCALS, "lead-vocals", "back-vocals", INSTRUMENTAL, "drums", "bass", "guitar", "piano", "other")
_COLOURS: Final[dict[str, Colour]] = {
    VOCALS: (255, 100, 100),
    "drums": (100, 200, 255),
    "bass": (150, 100, 255),
    "other": (100, 255, 150),
    "guitar": (255, 180, 80),
    "piano": (255, 120, 200),
}
_SPARE: Final[tuple[Colour, ...]] = (
    (220, 220, 120),
    (120, 220, 200),
    (200, 150, 110),
    (150, 190, 90),
    (190, 150, 230),
)


@lru_cache(maxsize=1 << 10)
def canonical(label: str) -> str:
    """Return the one name of the stem a label means; an unknown label becomes a slug of itself.

    Stable on its own results. The label is data from outside: what comes back holds only letters, digits and single
    hyphens, so that it can be part of a file name.
    """
    slug = _slug(label)
    if slug in _CANONICAL:
        return _CANONICAL[slug]
    rest = slug.removeprefix("no-")
    if rest != slug and rest in _CANONICAL:
        return f"no-{_CANONICAL[rest]}"
    return slug


def without(stem: str) -> str:
    """Return the name of the "minus one" that lacks a stem: ``no-drums``."""
    return f"no-{canonical(stem)}"


def parts_of(stems: Iterable[str], given: Collection[str]) -> set[str]:
    """Return the canonical names of the parts that stems are made of, where ``given`` names what there is."""
    names = set(map(canonical, stems))
    return {VOCALS if name == INSTRUMENTAL and name not in given else name for name in names}


def title(stem: str) -> str:
    """Return a canonical name in words for people: ``No Drums``."""
    if stem in _TITLES:
        return _TITLES[stem]
    rest = stem.removeprefix("no-")
    if rest != stem and rest:
        return f"No {title(rest)}"
    return " ".join(word[:1].upper() + word[1:] for word in stem.split("-"))


def sort_stems(names: Iterable[str]) -> list[str]:
    """Return canonical names in the order of their tracks, each once."""
    given = dict.fromkeys(names)
    return [name for name in _ORDER if name in given] + [name for name in given if name not in _ORDER]


def colour_of(stem: str) -> Colour:
    """Return the colour of a track; equal names have equal colours."""
    return _COLOURS.get(stem) or _SPARE[sum(stem.encode("ascii", "replace")) % len(_SPARE)]


def distinct(names: list[str]) -> list[str]:
    """Number names that occur more than once: the second ``vocals`` becomes ``vocals-2``."""
    taken: set[str] = set()
    result = []
    for name in names:
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name}-{number}"
        taken.add(free)
        result.append(free)
    return result


def _slug(label: str) -> str:
    text = unicodedata.normalize("NFKC", label).casefold()
    # Stability needs one form that casefolding keeps; NFC is what users type.
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"[\W_]+", "-", text).strip("-")
    return text[:_LONGEST].strip("-") or "part"
