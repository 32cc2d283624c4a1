"""Requests without a song of the user's: a link that MVSEP fetches itself, or words that it makes sound of.

Each is stood for by a small silent file in stembridge's home, called as the request is and different for each, so that
jobs, purchases and reuse know requests as they know songs. What belongs to them (a link, the address of a webhook) lies
there for its owner alone; a link only until the service has the job.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from plugin_core.errors import ServiceError, SourceError, UsageError
from plugin_core.files.checksum import hash_file
from plugin_core.model import Separation, show_path
from plugin_core.providers.mvsep.catalogue import Algorithm
from plugin_core.providers.mvsep.options import REFERENCE, WEBHOOK, resolve_options
from plugin_core.settings import Secret
from plugin_core.transfer.addresses import check_url
from plugin_core.transfer.redaction import redact_url, register

_LINK_SECONDS: Final = 7 * 86_400.0
"""How long the link of a job that never began is kept."""

_NEW_SECONDS: Final = 3600.0
"""How long what stands for a request may wait for its job."""
_GIVEN_SECONDS: Final = 30 * 86_400.0

_RATE: Final = 8000
_FRAMES: Final = 800
_LONGEST_NAME: Final = 60
_HOSTS: Final = {
    "mega": ("mega.nz", "mega.co.nz", "mega.io"),
    "drive": ("drive.google.com", "docs.google.com"),
    "dropbox": ("dropbox.com", "db.tt"),
}


class Kind(StrEnum):
    """What stands in place of a song."""

    LINK = "links"
    WORDS = "words"


_FOLDERS: Final = frozenset(kind.value for kind in Kind)


class Requests:
    """What was asked for without a song, in a folder of its own.

    Args:
        home: stembridge's.
    """

    def __init__(self, home: Path) -> None:
        self._root = home.absolute() / "mvsep"

    def keep_link(self, link: Secret) -> Path:
        """Return the file that stands for a link, which is kept beside it.

        Raises:
            UsageError: it is no address that a service could fetch.
        """
        text = link.reveal().strip()
        register(text)
        try:
            parts = urlsplit(text)
            is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_good = False
        if not is_good:
            raise UsageError(f"{redact_url(text)} is no link that MVSEP could fetch", remedy="give one of https://")
        digest = _digest("link", text)
        file_name = Path(unquote(parts.path)).stem if remote_type_of(link) == "direct" else ""
        # Who has the path of a share has what it leads to.
        path = self._stand_in(Kind.LINK, digest, file_name or f"{remote_type_of(link)}-{digest[:8]}")
        self._drop_old_links()
        _write_private(path.parent / "link", text)
        return path

    def _drop_old_links(self) -> None:
        """Forget the links of what was asked for and never begun."""
        for link in (self._root / Kind.LINK).glob("*/link"):
            if _age(link, time.time()) > _LINK_SECONDS:
                link.unlink(missing_ok=True)

    def keep_words(self, algorithm: Algorithm, options: Mapping[str, str]) -> Path:
        """Return the file that stands for a model's options, called as the longest text among them begins.

        However they are written, and whoever is told of the end, it is the same for the same.

        Raises:
            UsageError: an unknown option or value, or a required one that is missing.
        """
        resolved = resolve_options(algorithm, options)
        texts = [resolved[field.name] for field in algorithm.fields if not field.options and field.name in resolved]
        digest = _digest("words", json.dumps([algorithm.id, resolved], sort_keys=True))
        return self._stand_in(Kind.WORDS, digest, max(texts, key=len, default="") or f"model-{algorithm.id}")

    def unneeded(self, is_needed: Callable[[Path], bool], now: float) -> list[Path]:
        """Return what stands for requests that no job is of, and texts that nobody asked for again in a month."""
        stand_ins = [path for kind in Kind for path in (self._root / kind).glob("*")]
        found = [path for path in stand_ins if _age(path, now) > _NEW_SECONDS and not is_needed(path)]
        return found + [path for path in (self._root / "given").glob("*") if _age(path, now) > _GIVEN_SECONDS]

    def kind_of(self, path: Path) -> Kind | None:
        """Tell what a file stands for; None for a song."""
        folder = path.parent.parent
        # However the path is written: a stand-in that was not known for one would be sent as a song.
        is_ours = folder.name in _FOLDERS and folder.parent.resolve() == self._root.resolve()
        return Kind(folder.name) if is_ours else None

    def link_of(self, path: Path) -> Secret:
        """Return the link that a file stands for.

        Raises:
            UsageError: it is not kept any more.
        """
        try:
            text = (path.parent / "link").read_text("utf-8")
        except FileNotFoundError:
            raise UsageError(
                "the link of this job is not kept any more", remedy="give it again: stembridge separate LINK"
            ) from None
        register(text)
        return Secret(text)

    def drop_link(self, path: Path) -> None:
        """Forget the link that a file stands for."""
        (path.parent / "link").unlink(missing_ok=True)

    def note_job(self, path: Path, job: str) -> None:
        """Note which job of the service is that of a request, so that no other one is taken for it."""
        jobs = path.parent / "jobs"
        if job not in _lines(jobs):
            _write_private(jobs, "\n".join([*_lines(jobs), job]))

    def known_jobs(self) -> set[str]:
        return {job for jobs in self._root.glob("*/*/jobs") for job in _lines(jobs)}

    def keep(self, text: str, digest: str = "") -> str:
        """Keep a text for its owner alone, and return what it is found by: ``digest``, or the text's own."""
        digest = digest or _digest("text", text)
        _write_private(self._root / "given" / digest, text)
        return digest

    def kept(self, digest: str) -> str | None:
        """Return what is kept; None where nothing is."""
        path = self._root / "given" / digest
        return path.read_text("utf-8") if re.fullmatch(r"[0-9a-f]{64}", digest) and path.is_file() else None

    def _stand_in(self, kind: Kind, digest: str, name: str) -> Path:
        plain = " ".join(re.sub(r"[^\w.() -]", " ", name).split())[:_LONGEST_NAME].strip(". ")
        path = self._root / kind / digest[:32] / f"{plain or kind.value}.wav"
        if not path.exists():
            import wave

            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with wave.open(str(path), "wb") as opened:
                opened.setparams((1, 2, _RATE, _FRAMES, "NONE", ""))
                # The same sound for the same request only.
                told = b"".join((byte - 128).to_bytes(2, "little", signed=True) for byte in bytes.fromhex(digest))
                opened.writeframes(told.ljust(2 * _FRAMES, b"\0"))
        return path


def keep_given(requests: Requests, wish: Separation) -> Separation:
    """Return a wish whose file to sound like, and address to call, stand as digests: jobs are shown to people.

    Raises:
        SourceError: the file cannot be read.
        UsageError: the address is none.
    """
    given = dict(wish.options)
    reference, hook = given.get(REFERENCE), given.get(WEBHOOK)
    if reference and requests.kept(reference) is None:
        path = Path(reference).expanduser().absolute()
        if not path.is_file():
            raise SourceError(f"{show_path(path)} is no file", remedy="name the file that the song shall sound like")
        given[REFERENCE] = requests.keep(str(path), hash_file(path).sha256)
    if hook and requests.kept(hook) is None:
        register(hook)
        try:
            check_url(hook)
        except ServiceError as error:
            raise UsageError(f"option {WEBHOOK}: {error.message}", remedy=error.remedy) from None
        given[WEBHOOK] = requests.keep(hook)
    return msgspec.structs.replace(wish, options=given)


def remote_type_of(link: Secret) -> str:
    """Return the service's word for where a link leads: ``direct``, ``mega``, ``drive`` or ``dropbox``."""
    host = (urlsplit(link.reveal()).hostname or "").lower()
    for kind, names in _HOSTS.items():
        if any(host == name or host.endswith(f".{name}") for name in names):
            return kind
    return "direct"


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.is_file() else []


def _age(path: Path, now: float) -> float:
    """Return the seconds since something was last put there; below zero where that cannot be told."""
    try:
        return now - path.stat().st_mtime
    except OSError:
        return -1.0


def _digest(kind: str, text: str) -> str:
    return hashlib.sha256(f"stembridge {kind} {text}".encode("utf-8", "surrogateescape")).hexdigest()


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text)
    scratch.replace(path)
