"""Every endpoint of the MVSEP API, with typed answers.

Endpoints marked *experimental* are known from public clients alone, not from the vendor's documentation.
Errors are those of ``plugin_core.errors`` and carry the service's own words and the HTTP status.
"""

from __future__ import annotations

from plugin_core.providers.mvsep.account_calls import AccountCalls
from plugin_core.providers.mvsep.job_calls import JobCalls
from plugin_core.providers.mvsep.quality_calls import QualityCalls


class MvsepClient(JobCalls, AccountCalls, QualityCalls):
    """One account at MVSEP, or none: all that its API can do."""
