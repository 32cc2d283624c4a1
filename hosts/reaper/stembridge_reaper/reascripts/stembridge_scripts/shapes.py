"""The shapes of what is read from REAPER and written to documents, for those who check types."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

Document = Dict[str, Any]
"""A JSON object."""

Item = Dict[str, Any]
"""An item of a request: see ``request.schema.json``."""

Span = Optional[List[float]]
"""Start and end in seconds of a file; None for the whole file."""

Colour = Tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
