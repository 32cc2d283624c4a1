"""Names of the moments of a job that later processes must know as well."""

from __future__ import annotations

from typing import Final

LOOKED_FOR: Final = "looked-for-since"
"""Since when the job is looked for in the history."""

SENT_LINK: Final = "sent-link"
"""When the service was told a link: it lists such a job only once it has fetched it."""
