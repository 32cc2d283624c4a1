"""Texts of items: our line in their notes, and their state with a section; and refusals. All else the worker writes."""

from __future__ import annotations

import re


class Refusal(Exception):
    """The action cannot go on; the text is one sentence for the message box."""


MARK = "[stembridge] "

_LINE = re.compile(r"(?:^|\r?\n)\[stembridge\] [^\r\n]*")


def with_line(notes: str, words: str) -> str:
    """Return notes with our line at the end, and no other line of ours."""
    notes = without_line(notes)
    return (notes + "\n" if notes else "") + MARK + words


def without_line(notes: str) -> str:
    """Return notes without our line; equal to what they were before it."""
    return _LINE.sub("", notes)


def wrap_source(chunk: str, section: list[str]) -> str:
    """Return an item's chunk with the block of its one source inside that of a section; empty if there is not one."""
    lines = chunk.splitlines()
    first, depth = -1, 0
    for number, line in enumerate(lines):
        words = line.strip()
        if words.startswith("<"):
            depth += 1
            if depth == 2 and words.startswith("<SOURCE"):
                first = number
        elif words == ">":
            depth -= 1
            if depth == 1 and first >= 0:
                block = ["<SOURCE SECTION", *section, *lines[first : number + 1], ">"]
                return "\n".join(lines[:first] + block + lines[number + 1 :]) + "\n"
    return ""
