"""Parameters that a network in training reads from words, with or without faults in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from campaign.bits import Words
from campaign.bits.struck import strike
from campaign.faults import Exposed, FaultModel, FieldKey
from campaign.faults.streams import derived_seed
from campaign.lazy import torch
from campaign.methods.fitting import Context
from campaign.networks.raw import parametrize, raw_parameters
from campaign.sources.parameters import parameter_kinds

if TYPE_CHECKING:
    from torch import Tensor, nn

    from campaign.formats import NumberFormat


class StoredParameters:
    """Raw parameters that the network reads as their number format stores them.

    Gradients pass straight through to the raw parameters (Bengio et al., arXiv 1308.3432). Words
    stand before anything else that is done to a parameter, whatever the order of preparation.

    Args:
        module: The network, changed in place.
        kinds: Which parameters, as of `parameter_kinds`.
        fmt: The number format.

    Raises:
        ValueError: If two layers share a parameter.
    """

    def __init__(self, module: nn.Module, kinds: Collection[str], fmt: NumberFormat) -> None:
        self.fmt = fmt
        held = raw_parameters(module)
        chosen = [name for name, kind in parameter_kinds(module).items() if kind in kinds]
        self.parameters: Mapping[str, nn.Parameter] = {name: held[name] for name in chosen}
        self._faulty: dict[str, Tensor] = {}
        for name in chosen:
            self._read_from_words(module, name)

    @contextmanager
    def struck(self, fault: FaultModel, ber: float, seed: int) -> Iterator[None]:
        """The network reads every parameter with faults, drawn as for a trial.

        Args:
            fault: Draws them over all parameters together.
            ber: Bit error rate, a probability in [0, 1].
            seed: In place of that of a trial.
        """
        self._faulty = self._corrupted(fault, ber, seed)
        try:
            yield
        finally:
            self._faulty = {}

    def _corrupted(self, fault: FaultModel, ber: float, seed: int) -> dict[str, Tensor]:
        scales, memory = {}, {}
        for name, parameter in self.parameters.items():
            value = parameter.detach()
            scale = scales[name] = self.fmt.calibrate(value)
            memory[FieldKey(name, "payload")] = Exposed(self.fmt.encode(value, scale))
            if scale is not None and self.fmt.scale_width is not None:
                memory[FieldKey(name, "scale")] = Exposed(Words(scale, self.fmt.scale_width))
        chosen = fault.sample_all(memory, ber, seed)

        def words(name: str, field: str) -> Words | None:
            held, positions = memory.get(FieldKey(name, field)), chosen.get(FieldKey(name, field))
            if held is None or positions is None or not positions.size:
                return None if held is None else held.words
            return strike(held.words, positions).applied(held.words)

        found = {}
        for name, scale in scales.items():
            payload, stored_scale = words(name, "payload"), words(name, "scale")
            assert payload is not None
            found[name] = self.fmt.decode(
                payload, scale if stored_scale is None else stored_scale.data
            )
        return found

    def _read_from_words(self, module: nn.Module, name: str) -> None:
        from campaign.networks.through import Through

        parametrize(module, name, Through(partial(self._read, name)), first=True)

    def _read(self, name: str, value: Tensor) -> Tensor:
        faulty = self._faulty.get(name)
        return stored_in(self.fmt, value) if faulty is None else faulty.clone()


def kinds_stored(*, biases: bool, norms: bool) -> frozenset[str]:
    """Kinds of parameters that are stored: weights, and what is asked for."""
    chosen = {"weights": True, "biases": biases, "norms": norms}
    return frozenset(kind for kind, wanted in chosen.items() if wanted)


def stored_in(fmt: NumberFormat, weight: Tensor) -> Tensor:
    """The weight as `fmt` stores and reads it, float32."""
    scale = fmt.calibrate(weight)
    return fmt.decode(fmt.encode(weight, scale), scale)


def step_seed(context: Context) -> int:
    """The seed of the faults of the running step; no trial can have it, for it is below 0."""
    return -1 - derived_seed(context.seed, "faults in training", context.step)


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Running statistics and other buffers are afterwards as they were."""
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)


def tell_faulty(context: Context, loss: float) -> None:
    """Tell the mean loss under faults of the epoch so far, and of how many steps."""
    steps = context.metrics.get("faulty_steps", 0.0) + 1
    mean = context.metrics.get("faulty_loss", 0.0)
    context.metrics |= {"faulty_steps": steps, "faulty_loss": mean + (loss - mean) / steps}
