"""Items as REAPER writes them: taking a section apart, and putting one around the file of a stem.

The interface cannot make a section, so a stem item whose source is one is written as text. A block starts with
``<NAME`` and ends with ``>`` on a line of its own.
"""

from __future__ import annotations


def find_sources(chunk: str) -> list[tuple[int, int, bool]]:
    """Return ``(first, last, is_active)`` by line for each outermost SOURCE block, in the order of the takes."""
    found: list[tuple[int, int, bool]] = []
    is_active, depth, first = True, 0, -1
    lines = chunk.splitlines()
    has_choice = any(line.strip() == "TAKE SEL" or line.strip().startswith("TAKE SEL ") for line in lines)
    for number, line in enumerate(lines):
        words = line.strip()
        if depth == 1 and (words == "TAKE" or words.startswith("TAKE ")):
            is_active = words.startswith("TAKE SEL")
        if words.startswith("<"):
            depth += 1
            if depth == 2 and words.startswith("<SOURCE"):
                first = number
        elif words == ">":
            if depth == 2 and first >= 0:
                found.append((first, number, is_active and not (has_choice and not found)))
                first = -1
            depth -= 1
    return found


def section_lines(chunk: str) -> list[str]:
    """Return what the section of an item's active take says of itself; empty when it is no plain section of a file."""
    lines = chunk.splitlines()
    for first, last, is_active in find_sources(chunk):
        if is_active and lines[first].split()[:2] == ["<SOURCE", "SECTION"]:
            inner = [line.strip() for line in lines[first + 1 : last]]
            starts = [number for number, line in enumerate(inner) if line.startswith("<")]
            if len(starts) == 1 and inner[starts[0]].startswith("<SOURCE"):
                return inner[: starts[0]] + inner[_end_of(inner, starts[0]) + 1 :]
    return []


def wrap_source(chunk: str, section: list[str], shift: float) -> str:
    """Return an item's chunk with its one source inside a section; empty when that cannot be done.

    ``section`` is what ``section_lines`` gave, ``shift`` the seconds to add to its start.
    """
    lines = chunk.splitlines()
    sources = find_sources(chunk)
    if len(sources) != 1:
        return ""
    first, last, _ = sources[0]
    block = ["<SOURCE SECTION", *(_shifted(line, shift) for line in section), *lines[first : last + 1], ">"]
    return "\n".join(lines[:first] + block + lines[last + 1 :]) + "\n"


def _end_of(lines: list[str], start: int) -> int:
    depth = 0
    for number in range(start, len(lines)):
        if lines[number].startswith("<"):
            depth += 1
        elif lines[number] == ">":
            depth -= 1
            if depth == 0:
                return number
    return len(lines)


def _shifted(line: str, shift: float) -> str:
    words = line.split()
    if len(words) > 1 and words[0] == "STARTPOS":
        return "STARTPOS %.14f" % (float(words[1]) + shift)
    return line
