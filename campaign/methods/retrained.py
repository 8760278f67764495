"""Training without a protection: what the training alone does to a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from campaign.methods.base import METHODS, Method
from campaign.methods.fitting import Fitting


@METHODS.register
@dataclass(frozen=True)
class Retrained(Method):
    """Train as for a trained method, and protect nothing: the baseline of trained methods.

    What a trained method gains over it is due to the method, not to more training. Cost: none.
    Source: the baseline of Stutz et al., MLSys 2021 (arXiv 2006.13977).

    Args:
        start: ``weights`` goes on from the network's weights, ``scratch`` trains it anew.
        recipe: Name of the recipe; None is the default one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "retrained"

    start: Literal["weights", "scratch"] = "weights"
    recipe: str | None = None

    @property
    def fits(self) -> bool:
        return True

    def misfit(self, before: Sequence[Method], kinds: Sequence[str]) -> str | None:
        """A stack that is trained anyway needs no other reason."""
        trained = [method.name for method in before if method.fits]
        if (reason := super().misfit(before, kinds)) is not None or not trained:
            return reason
        return f"{trained[0]} stands before it and trains the network already; leave one out"

    def fitting(self) -> Fitting:
        return RetrainedFitting(fresh=self.start == "scratch")


class RetrainedFitting(Fitting):
    """Training as it is.

    Args:
        fresh: Whether it starts from an untrained network.
    """

    def __init__(self, *, fresh: bool) -> None:
        self.fresh = fresh
