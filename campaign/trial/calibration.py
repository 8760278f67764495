"""Which outputs of layers are stored, and in what range: learnt once, before any fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from campaign.lazy import torch
from campaign.networks.sites import Site
from campaign.spec.grid import Setup
from campaign.trial.evaluate import TestSet
from campaign.trial.forward import Forward
from campaign.trial.memory import Storage
from campaign.trial.neurons import BLOCK, Neurons, Place

if TYPE_CHECKING:
    from torch import Tensor


class Range(NamedTuple):
    """The least and the greatest value seen at a site."""

    low: Tensor
    high: Tensor


def whole_blocks(data: TestSet) -> TestSet:
    """The same images in batches that end where blocks do: rounded down, at least one block.

    A fault model may look at all stored words of a block, so they must be there at once.
    """
    return replace(data, batch_size=max(BLOCK, data.batch_size // BLOCK * BLOCK))


def neurons_of(
    setup: Setup, storage: Storage, forward: Forward, data: TestSet, split: TestSet | None
) -> Neurons:
    """The exposed layers of a network, and how their outputs are stored.

    Formats that fit their scale to the values are calibrated per site and statically: to the least
    and the greatest output over the profile split, of the network with its weights as read and
    activations in float32. The bound of the policy ``clamp`` comes from the same pass.

    Args:
        setup: What is exposed.
        storage: How weights, and so activations, are stored.
        forward: The network with its weights as read and no guards yet.
        data: Images that fit the network.
        split: The profile split, where the setup needs one.

    Raises:
        ValueError: If no layer is exposed, an output does not grow with the images, the number
            format or fault model has no meaning for activations, or an output that a method of the
            stack leaves scaled is beyond the format.
    """
    refused = [setup.fault_refusal] if setup.fault_refusal else setup.refusals()
    if refused:
        raise ValueError(refused[0])
    shapes = {n: _shapes(setup, forward, data, n) for n in (2, 3)}
    if not shapes[2]:
        raise ValueError(f"no layer of {setup.model_name} is exposed by {setup.targets.label}")
    axes = {site: _axis(site, shapes[2][site], shapes[3][site]) for site in shapes[2]}
    ranges = _ranges(setup, forward, split)
    places = {}
    for site, axis in axes.items():
        values = torch.Size(shapes[2][site]).numel() // 2
        scale, largest = _fitted(setup, site, ranges)
        places[site] = Place(axis, values, scale, largest)
    neurons = Neurons(storage, places)
    if any("layer" in method.rescales for method in setup.stack):
        _refuse_saturated(neurons, forward, data)
    return neurons


def _refuse_saturated(neurons: Neurons, forward: Forward, data: TestSet) -> None:
    """Refuse outputs in another scale than trained that the number format would cut off."""
    fmt = neurons.storage.dtype

    def note(site: Site, value: Tensor) -> Tensor:
        if site in neurons.places and fmt.largest is not None:
            most = float(value.abs().max())
            if most > fmt.largest:
                raise ValueError(
                    f"{site.label}: undivided, its outputs reach {most:.3g} without any fault, "
                    f"beyond {fmt.label} ({fmt.largest:g}); choose t nearer to the largest "
                    "weights, or use divide: layer"
                )
        return neurons.stored(site, value)

    forward.answers(data, faulty=lambda _: note)


def _shapes(
    setup: Setup, forward: Forward, data: TestSet, count: int
) -> dict[Site, tuple[int, ...]]:
    """Shapes of the exposed outputs for `count` images."""
    found: dict[Site, tuple[int, ...]] = {}

    def note(site: Site, value: Tensor) -> Tensor:
        if site.kind == "layer" and setup.targets.match_layer(site.module):
            found[site] = tuple(value.shape)
        return value

    image = data.batch(0, 1)
    with torch.inference_mode():
        forward.batch(image.expand(count, *image.shape[1:]).contiguous(), note)
    return found


def _axis(site: Site, of_two: tuple[int, ...], of_three: tuple[int, ...]) -> int:
    """The one dimension that grows with the images."""
    pairs = list(zip(of_two, of_three, strict=True))
    grown = [axis for axis, (two, three) in enumerate(pairs) if two != three]
    if len(grown) != 1 or pairs[grown[0]][0] * 3 != pairs[grown[0]][1] * 2:
        raise ValueError(
            f"{site.label}: its output does not grow with the images, so no image writes it; "
            f"targets.exclude: {site.module}"
        )
    return grown[0]


def _ranges(setup: Setup, forward: Forward, split: TestSet | None) -> Mapping[Site, Range]:
    """What is seen at every exposed site over the profile split; empty where nobody asks."""
    if setup.dtype.largest is not None and setup.nonfinite != "clamp":
        return {}
    if split is None:
        raise ValueError("activations learn their range from a profile split, and there is none")
    seen: dict[Site, Range] = {}

    def note(site: Site, value: Tensor) -> Tensor:
        if site.kind == "layer" and setup.targets.match_layer(site.module):
            now = Range(*value.aminmax())
            held = seen.get(site, now)
            seen[site] = Range(held.low.minimum(now.low), held.high.maximum(now.high))
        return value

    forward.answers(split, faulty=lambda _: note)
    return seen


def _fitted(setup: Setup, site: Site, ranges: Mapping[Site, Range]) -> tuple[Tensor | None, float]:
    """The scale and the largest magnitude of a site, where they are asked for."""
    if not ranges:
        return None, 0.0
    ends = torch.stack(ranges[site])
    if not bool(ends.isfinite().all()):
        raise ValueError(f"{site.label}: gives NaN or infinity on the profile split without faults")
    # Tensors made in inference mode cannot take part in a gradient.
    scale = setup.dtype.calibrate(ends)
    return None if scale is None else scale.clone(), float(ends.abs().max())
