"""The error by which a beets command ends with one line; its home differs between the versions, this name does not."""

from __future__ import annotations

from beets.ui import UserError  # type: ignore[attr-defined] # not declared, and there in every 2.x

__all__ = ["UserError"]
