"""What flipping each bit of every stored word does to the weights that are read, bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from campaign.bits import Words, mask_to_width
from campaign.formats import NumberFormat
from campaign.formats.blocks import spread
from campaign.formats.fixed import FixedPoint
from campaign.formats.integer import Integer
from campaign.lazy import np, torch
from campaign.methods import Method
from campaign.methods.weight_scaling import WeightScaling
from campaign.spec.grid import Setup
from campaign.trial.memory import Storage, Stored, read, write
from campaign.trial.setup import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_BLOCK = 32
_SCALE_BIAS = 127


class Swings(NamedTuple):
    """Errors of all weights of a parameter for one flipped bit."""

    absolute: float
    squared: float
    nonfinite: int


def swings(stored: Stored, storage: Storage, bit: int) -> Swings:
    """Flip `bit` of every payload word, each alone, and sum the errors of the weights as read.

    Codes are read past, as an attacker does: a word in error is not corrected.

    Returns:
        Sums of |error| and error^2 over weights that read finite, and how many do not.
    """
    payload = stored.fields["payload"]
    single = mask_to_width(torch.ones((), dtype=torch.int64) << bit, payload.width).data
    struck = Words(payload.data ^ single.to(payload.data.device), payload.width)
    clean = _meant(stored, storage, payload).double()
    then = _meant(stored, storage, struck).double()
    error = (then - clean)[then.isfinite()].abs()
    return Swings(float(error.sum()), float(error.square().sum()), then.numel() - error.numel())


def _meant(stored: Stored, storage: Storage, payload: Words) -> Tensor:
    """The weights that words stand for, also where the network divides elsewhere."""
    fields = {**stored.fields, "payload": payload}
    value = read(stored, fields, storage, decoding=False).weight
    for method, state in zip(reversed(stored.stack), reversed(stored.states), strict=True):
        value = method.meaning(value, state)
    return value


def held_numbers(
    stored: Stored, dtype: NumberFormat
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """The numbers in memory in units of their format, these units, and what divides them.

    Returns:
        Float64 arrays of shape (n,), then (n,) or () twice; for robust integers the middle of the
        range is taken off and the unit is half of it. None where a method other than weight scaling
        changes what words mean, so that the format alone does not say it.
    """
    if any(_changes_meaning(method) for method in stored.stack):
        return None
    scale = stored.fields["scale"].data if "scale" in stored.fields else stored.scale
    words = stored.fields["payload"]
    numbers = dtype.decode(words, scale).double()
    center, unit = _grid(dtype, scale, numbers.shape)
    held = (numbers - center) / torch.where(unit == 0, 1.0, unit)
    constants = [
        state["c"]
        for method, state in zip(stored.stack, stored.states, strict=True)
        if isinstance(method, WeightScaling)
    ]
    divisor = constants[0].double() if constants else torch.ones((), dtype=torch.float64)
    return _flat(held), _spread(unit, numbers.shape), _spread(divisor, numbers.shape)


def stored_parameters(setup: Setup, network: Network) -> Iterator[tuple[Stored, Storage]]:
    """The exposed parameters of a setup in memory, one after another.

    Raises:
        ValueError: If a method must see images to protect, or a weight cannot be stored.
    """
    learner = next((m for m in setup.stack if m.differentiates), None)
    if learner is not None:
        raise ValueError(
            f"{learner.name} learns from images, which are not read here; leave it out"
        )
    storage = Storage(setup.dtype, setup.stack, setup.nonfinite)
    for name, weight in network.trained.items():
        if setup.targets.match(name, network.kinds[name]):
            yield write(name, weight, storage), storage


def _changes_meaning(method: Method) -> bool:
    own, plain = type(method), Method
    if isinstance(method, WeightScaling):
        return False
    return (own.transform, own.restore, own.adapt) != (plain.transform, plain.restore, plain.adapt)


def _grid(dtype: NumberFormat, scale: Tensor | None, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Where the numbers of a format start from, and the unit they are counted in."""
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    if isinstance(dtype, FixedPoint):
        return zero, one * 2.0**-dtype.n
    if scale is None:
        return zero, one
    if not isinstance(dtype, Integer):
        power = torch.exp2(scale.double() - _SCALE_BIAS)
        element = 1 / 64 if dtype.twos_complement else 1.0
        return zero, spread(power, shape, _BLOCK) * element
    if dtype.scheme == "robust":
        low, high = (_each(dtype, part, shape) for part in scale)
        return (low + high) / 2, (high - low) / 2
    return zero, _each(dtype, scale if dtype.scheme == "symmetric" else scale[0], shape)


def _each(dtype: Integer, part: Tensor, shape: torch.Size) -> Tensor:
    """A constant of integers as one for each value, or one that broadcasts."""
    if dtype.per == "group" and part.ndim:
        part = spread(part, shape, dtype.group_size)
    return part.double()


def _spread(constant: Tensor, shape: torch.Size) -> NDArray[np.float64]:
    if constant.numel() == 1:
        return constant.cpu().numpy().reshape(())
    return _flat(constant.expand(shape))


def _flat(values: Tensor) -> NDArray[np.float64]:
    flat: NDArray[np.float64] = values.reshape(-1).cpu().numpy()
    return flat
