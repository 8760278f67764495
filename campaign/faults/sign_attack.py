"""The sign attack: flip the signs of the weights that matter most, almost without a look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.faults.base import FAULTS, FaultModel
from campaign.faults.exposed import FieldKey
from campaign.faults.ranking import highest
from campaign.faults.streams import Stream
from campaign.lazy import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from campaign.bits import Words
    from campaign.faults.subject import Flips, Subject

AtLeastOne = Annotated[int, Field(ge=1, strict=True)]


@FAULTS.register
@dataclass(frozen=True)
class SignAttack(FaultModel):
    """Flip the sign bits of the `count` exposed weights of highest score (Deep Neural Lesion).

    Without a pass over data the score of a weight w is |w|; with one it is
    |w| + |w g + w^2 g^2 / 2| with the gradient g of the loss. Weights count as read without faults
    and in the scale of the trained network, so methods that scale them, wherever they divide, do
    not change whom the attack hits beyond rounding. Equal scores go to the earlier
    parameter, then to the lower position. In two's complement a flipped sign bit moves a weight by
    half the range, towards the other sign. The seed has no influence, so a spec gives one; the rate
    only tells the fault-free trial (0) from the others, and a spec gives one rate above 0. Fewer
    flips are the first of more. A format without a sign bit is refused.
    Cost: O(parameters), and one gradient with `passes` 1, which needs a profile split.
    Source: Galil et al., Deep Neural Lesion, arXiv 2502.07408. Departs: g is of the cross entropy
    over the whole profile split, not over random inputs; all layers unless `layers` says so, where
    the paper keeps to early ones; parameters of fewer than three dimensions have no kernels, so no
    limit.

    Args:
        count: Sign bits to flip; fewer that can be flipped are refused.
        passes: ``0`` looks at the weights alone, ``1`` also at one gradient.
        layers: Keep to the first layers with exposed parameters; null takes all.
        one_per_kernel: At most one flip for each pair of an input and an output channel of a
            convolution: two may undo each other.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "sign_attack"

    count: AtLeastOne
    passes: Literal[0, 1] = 0
    layers: AtLeastOne | None = None
    one_per_kernel: bool = True

    @property
    def flips(self) -> int:
        return self.count

    @property
    def takes_ber(self) -> bool:
        return False

    @property
    def attacks(self) -> bool:
        return True

    @property
    def learns(self) -> bool:
        return self.passes > 0

    def ignores_seed(self, images: int) -> bool:
        return True

    def refusal(self, bit_classes: Mapping[str, range]) -> str | None:
        """Words must have a sign."""
        if "sign" in bit_classes:
            return None
        return f"no bit of a word is its sign; there are {', '.join(bit_classes)}"

    def sample(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        raise TypeError(f"{self.name} must look at the network: call attack, not sample")

    def attack(self, subject: Subject, ber: float, seed: int) -> Flips:
        if ber == 0:
            return {}
        if (reason := self.refusal(subject.bit_classes)) is not None:
            raise ValueError(f"{self.name}: {reason}")
        bit = subject.bit_classes["sign"].start
        chosen = self._chosen(self._scores(subject, bit))
        return {
            key: (words * subject.memory[key].words.width + bit).cpu().numpy()
            for key, words in chosen.items()
            if words.numel()
        }

    def _scores(self, subject: Subject, bit: int) -> dict[FieldKey, Tensor]:
        """Scores of the weights whose sign may flip, float64 (weights,), by payload."""
        gradients = subject.gradients({}) if self.passes else {}
        weights, meanings = self._early(subject.weights({})), subject.meanings({})
        scores = {}
        for name, weight in weights.items():
            key = FieldKey(name, "payload")
            if bit in subject.memory[key].exempt:
                continue
            score = _score(meanings[name], weight, gradients.get(name))
            scores[key] = (_one_per_kernel(score) if self.one_per_kernel else score).reshape(-1)
        return scores

    def _early(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of the first layers."""
        modules = list(dict.fromkeys(name.rpartition(".")[0] for name in weights))
        kept = set(modules[: self.layers])
        return {name: held for name, held in weights.items() if name.rpartition(".")[0] in kept}

    def _chosen(self, scores: Mapping[FieldKey, Tensor]) -> dict[FieldKey, Tensor]:
        """Words whose sign flips, ascending, by payload."""
        best = {key: highest(score, self.count) for key, score in scores.items()}
        possible = sum(int((score > -torch.inf).sum()) for score in scores.values())
        if self.count > possible:
            raise ValueError(f"{self.count} flips do not fit into {possible} exposed sign bits")
        every = highest(torch.cat([scores[key][words] for key, words in best.items()]), self.count)
        found, start = {}, 0
        for key, words in best.items():
            here = every[(every >= start) & (every < start + words.numel())] - start
            found[key] = words[here].sort().values
            start += words.numel()
        return found


def _score(meaning: Tensor, weight: Tensor, gradient: Tensor | None) -> Tensor:
    """How much a weight matters, float64.

    The gradient is by `weight`, so their product is the same in any scale; the magnitude is not,
    and is that of `meaning`.
    """
    size = meaning.double().abs()
    if gradient is None:
        return size
    slope = gradient.double().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    product = weight.double() * slope
    return size + (product + product.square() / 2).abs()


def _one_per_kernel(scores: Tensor) -> Tensor:
    """Negative infinity everywhere but at the first highest score of each kernel."""
    if scores.ndim < 3:
        return scores
    kernels = scores.flatten(2)  # (out, in, taps)
    highest_here = kernels == kernels.amax(-1, keepdim=True)
    first = highest_here & (highest_here.cumsum(-1) == 1)
    return torch.where(first, kernels, -torch.inf)
