"""An Ogg file's pages: whether the last one is there and marked as the end, and where recordings were joined.

libsndfile takes what is there for the whole, and reads only the first of several recordings (RFC 3533).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.damage import AGAIN, cut_short
from plugin_core.audio.layout import Finding, Layout, Span
from plugin_core.audio.source_file import Window
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_HEADER: Final = 27
_BEGIN, _END = 2, 4
_CODECS: Final = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"fLaC", b"Speex   ")
"""How the first packet of a stream of sound begins."""


class _Page(NamedTuple):
    start: int
    end: int
    flags: int
    serial: int
    number: int
    place: int
    """Where its last packet ends, in samples or the like; -1 where none ends in it."""
    head: bytes
    """The first bytes of what it holds."""


class _Link:
    """One recording of a file: streams that begin together, of which the first with sound counts."""

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self.serial: int | None = None
        self.is_ended = self.is_broken = self.is_backward = self.has_begun = False
        self._number = self._place = 0

    def add(self, page: _Page) -> None:
        self.end = page.end
        if page.flags & _BEGIN:
            if self.serial is None and page.head.startswith(_CODECS):
                self.serial, self._number = page.serial, page.number
            return
        self.has_begun = True
        if page.serial == self.serial:
            self._number += 1
            self.is_broken |= page.number != self._number
            self._number = page.number
            if page.place >= 0:
                self.is_backward |= page.place < self._place
                self._place = page.place
            self.is_ended = bool(page.flags & _END)


def examine_ogg(path: Path, descriptor: int) -> Finding | None:
    """Find the recordings in an Ogg file; None where it has no sound that we know.

    Raises:
        SourceError: it ends before its sound is whole, or lacks a part of it.
    """
    size = os.fstat(descriptor).st_size
    pages = list_pages(Window(path, descriptor), size)
    links = [link for link in _split(path, pages, size) if link.serial is not None]
    if not links:
        return None
    for link in links:
        _check(path, link, len(links))
    if len(links) == 1:
        return Finding()
    return Finding(layouts=tuple(Layout((Span(link.start, link.end),)) for link in links))


def list_pages(window: Window, size: int) -> Iterator[_Page]:
    """Give every page, the last one also where it is cut; what is no page is passed over."""
    at = 0
    while at < size:
        header = window.take(at, _HEADER)
        if not header.startswith(b"OggS"):
            at = window.find(b"OggS", at + 1, size)
            continue
        table = window.take(at + _HEADER, header[26]) if len(header) == _HEADER else b""
        body = at + _HEADER + len(table)
        # A header or table that is cut counts as a page that reaches beyond the end.
        is_cut = len(header) < _HEADER or len(table) < header[26]
        end = size + 1 if is_cut else body + sum(table)
        serial, number = (int.from_bytes(header[place : place + 4], "little") for place in (14, 18))
        place = int.from_bytes(header[6:14], "little", signed=True)
        yield _Page(at, end, header[5] if len(header) > 5 else 0, serial, number, place, window.take(body, 8))
        at = end


def _split(path: Path, pages: Iterator[_Page], size: int) -> list[_Link]:
    links: list[_Link] = []
    for page in pages:
        if page.end > size:
            raise cut_short(path)
        if not links or (page.flags & _BEGIN and links[-1].has_begun):
            links.append(_Link(page.start))
        links[-1].add(page)
    return links


def _check(path: Path, link: _Link, count: int) -> None:
    shown = show_path(path)
    if link.is_broken:
        raise SourceError(f"{shown} is damaged: pages in its middle are missing", remedy=AGAIN)
    if link.is_backward:
        raise SourceError(f"{shown} is damaged: a page says that it ends before the one in front of it", remedy=AGAIN)
    if not link.is_ended:
        which = "" if count == 1 else f" in one of its {count} recordings"
        raise SourceError(
            f"{shown} is cut short: the mark of its end is missing{which}",
            remedy=f"{AGAIN}, or convert it to FLAC first if this is all of it",
        )
