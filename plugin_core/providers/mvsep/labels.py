"""What the service's labels mean.

1. A label (``Vocals_Lead``, else the end of the file's name) is looked up among the model's own outputs, by key or
   title.
2. Its title there is looked up in ``MEANS``; what is not there is left to ``naming.canonical``.
3. Where vocals and one other part are all that a model gives, "Other" is the instrumental.

A label no table knows is kept, as a slug of itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from plugin_core.providers.mvsep.algorithms import Algorithm
from plugin_core.stem_names import canonical, distinct

MEANS: Final = {
    "Other (no drums)": "no-drums",
    "Other (no vocals/bass/drums)": "other",
    "Instrumental (no dialog)": "no-speech",
    "Back vocals + instrumental": "back-instrumental",
    "Instrumental + back vocals": "back-instrumental",
    "Inverted residue": "residual",
    "Sum (all stems)": "sum",
    "Wide (sides)": "sides",
    "Clean (dry)": "dry",
    "Drums (full)": "drums",
    "Drums: kick": "kick",
    "Drums: snare": "snare",
    "Drums: cymbals": "cymbals",
    "Drums: toms": "toms",
    "Drums: hi-hat": "hi-hat",
    "Drums: ride": "ride",
    "Drums: crash": "crash",
    "Lead vocals (v1)": "lead-vocals",
    "Lead vocals (v2)": "lead-vocals-v2",
    "Noreverb": "no-reverb",
}
"""Canonical names of titles that the general table of stem names does not get right."""

_ALL_OF_A_SONG: Final = "vocals"
_REST: Final = "other"


def stems_of(algorithm: Algorithm) -> tuple[str, ...]:
    """Return the canonical names a model can give, as far as its description tells."""
    if algorithm.outputs:
        return tuple(dict.fromkeys(_mean(algorithm, title) for title in algorithm.outputs.values()))
    # ``output_stems`` is read off the name by the service and is sometimes no list of stems ("mdx23c").
    if len(algorithm.output_stems) > 1:
        return tuple(dict.fromkeys(canonical(stem) for stem in algorithm.output_stems))
    return ()


def stem_of(algorithm: Algorithm | None, label: str, file_name: str = "") -> str:
    """Return the canonical name of one result.

    Args:
        algorithm: the model, where it is known.
        label: ``type`` of the result; may be empty.
        file_name: suggested name of the result, looked at when there is no label.
    """
    outputs = algorithm.outputs if algorithm is not None else {}
    titles = {_key(title): title for title in outputs.values()} | {_key(key): title for key, title in outputs.items()}
    text = label.strip() or _suffix(file_name, titles)
    title = titles.get(_key(text), text)
    return _mean(algorithm, title) if algorithm is not None else canonical(title)


def stems_of_files(algorithm: Algorithm | None, files: Sequence[tuple[str, str]]) -> list[str]:
    """Return one distinct name for each (label, file name), in their order."""
    return distinct([stem_of(algorithm, label, name) for label, name in files])


def _mean(algorithm: Algorithm, title: str) -> str:
    stem = MEANS.get(title) or canonical(title)
    return "instrumental" if stem == _REST and _is_vocal_model(algorithm) else stem


def _is_vocal_model(algorithm: Algorithm) -> bool:
    outputs = {canonical(title) for title in algorithm.outputs.values()} or {*map(canonical, algorithm.output_stems)}
    return _ALL_OF_A_SONG in outputs and outputs <= {_ALL_OF_A_SONG, _REST, "instrumental"}


def _suffix(file_name: str, titles: dict[str, str]) -> str:
    """Return the end of a file name that names an output: the longest known one, else what follows the last ``_``."""
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", file_name)
    words = re.split(r"[_\-\s]+", stem)
    for count in range(min(4, len(words)), 0, -1):
        end = "-".join(words[-count:])
        if _key(end) in titles:
            return end
    return stem.rpartition("_")[2]


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.casefold())
