"""FT-ClipAct: activations above a threshold are 0; the thresholds are sought under faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State
from campaign.methods.interval_search import accuracy_area, best_threshold, drawn_maps
from campaign.networks.ranges import activation_ranges
from campaign.networks.sites import Site

if TYPE_CHECKING:
    from torch import Tensor

    from campaign.faults.subject import Subject

Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(ge=1, le=1000, strict=True)]


@METHODS.register
@dataclass(frozen=True)
class FtClipAct(Method):
    """Zero each activation whose magnitude is above the threshold T of its layer.

    Every T begins as the largest magnitude on the profile split; there nothing changes, to the
    bit. Then, layer after layer, an interval search looks for the T with the largest area under
    accuracy against fault rate: [0, T] is divided in three, the four ends are tried, and the parts
    beside the best one are divided next. A sought T may lie below healthy activations and change
    the network without faults; its trial at BER 0 shows by how much.

    Infinity is above every T; NaN passes, as in every comparison: put ``nan_filter`` into the stack
    to stop it. An activation written as ``clamp``, or as ``x * sigmoid(x)``, is not seen.
    Cost: one protected constant and one comparison of magnitudes per value for each activation
    site; once, for each site, 4 * iterations * injections * rates passes of the profile split.
    Source: Hoang et al., FT-ClipAct, DATE 2020, arXiv 1912.00941; injections and rates as in the
    public code of Mousavi et al., arXiv 2406.06313.
    Departs: the best of all thresholds tried is kept, and of equals the largest; all are tried
    under the same fault maps. Where activations are negative, as with GELU, T bounds both sides.

    Args:
        threshold: ``searched``, which needs exposed parameters to be struck, or ``profiled``: the
            largest magnitude, without a search; the other options are then refused.
        iterations: N: how often an interval is divided, at most.
        least_iterations: M: how often before the search may stop early.
        delta: The search stops early where no two neighbouring thresholds differ by more in area,
            which is in [0, 1]; 0.0025 is the published 0.2, of a largest area of 80.
        injections: Fault maps at each rate.
        rates: Bit error rates, probabilities; the area gives their intervals equal widths.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "ft_clipact"

    threshold: Literal["searched", "profiled"] = "searched"
    iterations: Count = 4
    least_iterations: Count = 3
    delta: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)] = 0.0025
    injections: Count = 5
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = (1e-7, 1e-6, 3e-6, 1e-5, 3e-5)

    def __post_init__(self) -> None:
        if self.threshold == "searched":
            return
        search = [held for held in fields(self) if held.name != "threshold"]
        idle = [held.name for held in search if getattr(self, held.name) != held.default]
        if idle:
            raise ValueError(
                f"threshold: profiled searches nothing, so {', '.join(idle)} would do nothing; "
                "leave out, or use threshold: searched"
            )

    def misfit(self, before: Sequence[Method], kinds: Sequence[str]) -> str | None:
        """A search needs parameters that faults can hit."""
        if kinds or self.threshold == "profiled":
            return super().misfit(before, kinds)
        return "searches under faults in weights, and none is exposed; use threshold: profiled"

    @property
    def observes(self) -> bool:
        return True

    @property
    def guards(self) -> bool:
        return True

    def observe(self, subject: Subject) -> State:
        ranges = activation_ranges(lambda visit: subject.logits({}, visit))
        held: dict[str, Tensor] = {str(place): r.reach for place, r in sorted(ranges.items())}
        if self.threshold == "profiled":
            return held
        maps = drawn_maps(subject, self.rates, self.injections)
        for key, largest in list(held.items()):

            def area(threshold: float, key: str = key, like: Tensor = largest) -> float:
                trial = {**held, key: torch.full_like(like, threshold)}
                return accuracy_area(subject, maps, lambda site, v: self.guard(site, v, trial))

            held[key] = torch.full_like(largest, self._best(float(largest), area))
        return held

    def _best(self, largest: float, area: Callable[[float], float]) -> float:
        return best_threshold(
            largest,
            area,
            iterations=self.iterations,
            least_iterations=self.least_iterations,
            delta=self.delta,
        )

    def guard(self, site: Site, value: Tensor, seen: State) -> Tensor:
        threshold = seen.get(str(site.place))
        if site.kind != "activation" or threshold is None:
            return value
        return torch.where(value.abs() > threshold, 0.0, value)

    def guard_operations(self, site: Site, count: int) -> int:
        return count if site.kind == "activation" else 0
