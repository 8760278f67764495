"""Which points an ``exclude`` rule means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

from campaign.spec.campaign import Rule
from campaign.spec.grid import Setup


def left_out(
    rules: Sequence[Rule], setup: Setup, ber: float | None = None, seed: int | None = None
) -> bool:
    """Whether a rule excludes the setup (no `ber` given) or the point.

    A rule that names BERs or seeds never excludes a whole setup.
    """
    return any(_matches(rule, setup, ber, seed) for rule in rules)


def matches_setup(rule: Rule, setup: Setup) -> bool:
    """Whether all axes of a rule but `ber` and `seed` match."""
    return (
        _named(rule.model, setup.model_name)
        and _named(rule.dtype, setup.dtype.label)
        and (_named(rule.method, setup.method) or _named(rule.method, bare_method(setup)))
        and (rule.nonfinite is None or setup.nonfinite in rule.nonfinite)
        and _named(rule.fault, setup.fault_name)
        and _named(rule.targets, setup.targets.label)
        and (rule.t is None or any(_same_t(value, setup) for value in rule.t))
    )


def of_points(rule: Rule) -> bool:
    """Whether a rule excludes single points and never whole setups."""
    return rule.ber is not None or rule.seed is not None


def bare_method(setup: Setup) -> str:
    """The stack without options, such as ``saf+weight_scaling``."""
    return "+".join(method.name for method in setup.stack) or "none"


def _matches(rule: Rule, setup: Setup, ber: float | None, seed: int | None) -> bool:
    if of_points(rule) != (ber is not None) or not matches_setup(rule, setup):
        return False
    return (rule.ber is None or _near(ber, rule.ber)) and (rule.seed is None or seed in rule.seed)


def _near(ber: float | None, bers: Sequence[float]) -> bool:
    return ber is not None and any(math.isclose(ber, value, rel_tol=1e-9) for value in bers)


def _named(patterns: list[str] | None, name: str) -> bool:
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)


def _same_t(value: float | str, setup: Setup) -> bool:
    wanted = setup.dtype.largest if value == "max" else value
    return setup.t is not None and setup.t == wanted
