"""What a plan means to somebody who wants what it would have made."""

from __future__ import annotations

from plugin_core.model import Plan


def allow(plan: Plan) -> Plan:
    """Return the plan, or raise why nothing new can be had by it."""
    if plan.refusal is not None:
        raise plan.refusal
    return plan
