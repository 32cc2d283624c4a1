"""The form that starts a separation."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.errors import UsageError
from plugin_core.transfer import FilePart, Multipart

REMOTE_TYPES: Final = ("direct", "mega", "drive", "dropbox")

_OPTION: Final = re.compile(r"add_opt[1-9]\Z")


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """What ``MvsepClient.create`` was asked for."""

    model: str
    output_format: int
    audio: Path | None = None
    name: str = ""
    url: str = ""
    remote_type: str = "direct"
    target_audio: Path | None = None
    reference_audio: Path | None = None
    options: Mapping[str, str] = {}
    is_demo: bool = False
    webhook_url: str = ""
    preset_id: str = ""

    def body(self, token: Mapping[str, str]) -> Multipart:
        """Return the form, token included.

        Raises:
            UsageError: inputs that exclude each other, or an option no model can have.
        """
        self._check()
        return Multipart(fields={**token, **self._fields()}, files=self._files())

    def _check(self) -> None:
        pair = (self.target_audio, self.reference_audio)
        if len([each for each in (self.audio, self.url, any(pair)) if each]) > 1 or any(pair) != all(pair):
            raise UsageError("MVSEP takes one file, one link, or a target and a reference")
        if self.remote_type not in REMOTE_TYPES:
            raise UsageError(f"no kind of link {self.remote_type!r}", remedy=f"use one of {', '.join(REMOTE_TYPES)}")
        odd = [name for name in self.options if not _OPTION.match(name)]
        if odd:
            raise UsageError(f"no option {odd[0]!r} at MVSEP", remedy="options are named add_opt1, add_opt2, ...")

    def _fields(self) -> dict[str, str]:
        link = {"url": self.url, "remote_type": self.remote_type} if self.url else {}
        wanted = {"webhook_url": self.webhook_url, "preset_id": self.preset_id, **self.options}
        return {
            "sep_type": self.model,
            "output_format": str(self.output_format),
            "is_demo": str(int(self.is_demo)),
            **link,
            **{name: value for name, value in wanted.items() if value},
        }

    def _files(self) -> tuple[FilePart, ...]:
        named = {
            "audiofile": self.audio,
            "target_audiofile": self.target_audio,
            "reference_audiofile": self.reference_audio,
        }
        return tuple(
            _part(field, path, self.name if field == "audiofile" else "") for field, path in named.items() if path
        )


def _part(field: str, path: Path, name: str) -> FilePart:
    kind = mimetypes.guess_type(name or path.name, strict=False)[0]
    return FilePart(field=field, path=path, name=name, content_type=kind or "application/octet-stream")
