"""What the service writes (``output_format``), and what the stems finally are."""

from __future__ import annotations

from typing import Final, NamedTuple

from plugin_core.audio.formats import resolve_format
from plugin_core.audio.overload import CLIPPED
from plugin_core.errors import RefusedError, SourceError, UsageError
from plugin_core.model import Source

PREMIUM_REMEDY: Final = "`stembridge account mvsep` shows the plan, `stembridge mvsep premium on` spends its credits"


class OutputFormat(NamedTuple):
    """One format of the service."""

    key: str
    name: str
    final: str
    """Our format that keeps it as it comes."""
    needs_premium: bool = False


OUTPUT_FORMATS: Final = (
    OutputFormat("0", "mp3", "mp3"),
    OutputFormat("1", "wav16", "wav16"),
    OutputFormat("2", "flac16", "flac16"),
    OutputFormat("3", "m4a", "m4a"),
    OutputFormat("4", "wav32f", "wav32f", needs_premium=True),
    OutputFormat("5", "flac24", "flac24", needs_premium=True),
)
SHALLOW: Final = OUTPUT_FORMATS[2]
OPEN: Final = OUTPUT_FORMATS[4]
DEEP: Final = OUTPUT_FORMATS[5]

_DEEP_SOURCES: Final = frozenset({"pcm_24", "pcm_32", "float", "double"})


def choose_output(
    wished: str, source: Source, final: str, *, is_premium: bool, is_over: bool = False
) -> tuple[OutputFormat, str]:
    """Return what the service shall write, and a note when it is less than the source deserves.

    Args:
        wished: option ``output_format``, a number or a name; "" chooses one that keeps the source's depth.
        source: the song.
        final: the format of the stems that is wished; may be "".
        is_premium: whether the account may use 24 and 32 bits.
        is_over: whether the song is floats that lie over full scale.

    Raises:
        UsageError: there is no such format.
        RefusedError: the account may not use it.
    """
    if wished:
        chosen = _find(wished)
        if chosen.needs_premium and not is_premium:
            raise RefusedError(f"MVSEP writes {chosen.name} for premium accounts only", remedy=PREMIUM_REMEDY)
        return chosen, f"{CLIPPED}: {chosen.name} cannot hold it" if is_over and chosen is not OPEN else ""
    if is_over:
        return (OPEN, "") if is_premium else (SHALLOW, f"{CLIPPED}: MVSEP gives floats to premium accounts only")
    if not _wants_depth(source, final):
        return SHALLOW, ""
    if is_premium:
        return DEEP, ""
    return SHALLOW, "stems have 16 bits of depth: MVSEP gives 24 to premium accounts only"


def final_format(output: OutputFormat, source: Source) -> str:
    """Return the format of the stems when none is wished: as they come, where that holds the source's sample rate."""
    try:
        return resolve_format(output.final, source).name
    except SourceError:
        return "wav24" if output is DEEP else "wav16"


def _find(word: str) -> OutputFormat:
    wanted = word.strip().lower()
    for one in OUTPUT_FORMATS:
        if wanted in (one.key, one.name):
            return one
    known = ", ".join(f"{one.key} ({one.name})" for one in OUTPUT_FORMATS)
    raise UsageError(f"MVSEP has no output_format {word!r}", remedy=f"choose of {known}")


def _wants_depth(source: Source, final: str) -> bool:
    if not final:
        return source.encoding in _DEEP_SOURCES
    # An unknown name is refused here, before anything is asked of the service.
    chosen = resolve_format(final, source)
    return chosen.is_lossless and (chosen.bits is None or chosen.bits > 16)
