"""What a separation costs: ``max(1, floor(seconds * coefficient * multipliers / 60))`` credits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from plugin_core.providers.mvsep.algorithms import Algorithm


def multiplier(algorithm: Algorithm, options: Mapping[str, str]) -> Fraction:
    """Return the product of the price rules that the options, by field name, set off."""
    product = Fraction(1)
    for field in algorithm.fields:
        for rule in field.price_rules:
            if rule.mode == "multiplier" and options.get(field.name) == rule.option:
                product *= Fraction(rule.value)
    return product


def estimate_credits(algorithm: Algorithm, options: Mapping[str, str], seconds: float) -> int:
    """Return the credits for a song: multiplied first and rounded down once, as the service does."""
    exact = Fraction(seconds) * Fraction(algorithm.coefficient) * multiplier(algorithm, options) / 60
    return max(1, math.floor(exact))
