"""The normalisation options of model sources: a known name, or mean and std."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import PlainValidator, WithJsonSchema

from campaign.registry import nearest
from campaign.sources.base import Preprocess


@dataclass(frozen=True)
class MeanStd:
    """Mean and standard deviation of pixels in [0, 1], per channel or one for all."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Scaling(NamedTuple):
    """``x = (pixel / divisor - mean) / std``."""

    divisor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


NORMALIZATIONS: dict[str, Scaling] = {
    "imagenet": Scaling(255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": Scaling(255.0, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": Scaling(255.0, (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)),
    "half": Scaling(255.0, (0.5,), (0.5,)),
    "none": Scaling(1.0, (0.0,), (1.0,)),
}
"""``none`` hands the network raw pixels 0..255; ``half`` maps them to [-1, 1]."""


def parse_normalization(raw: object) -> str | MeanStd:
    """A name of `NORMALIZATIONS`, or ``{mean: ..., std: ...}`` as `MeanStd`.

    Raises:
        ValueError: If it is neither, or a std is not positive.

    Example:
        >>> parse_normalization({"mean": 0.5, "std": [0.25]})
        MeanStd(mean=(0.5,), std=(0.25,))
    """
    known = list(NORMALIZATIONS)
    if isinstance(raw, MeanStd):
        return _checked(raw)
    if isinstance(raw, str):
        if raw in NORMALIZATIONS:
            return raw
        raise ValueError(f"got {raw!r}{nearest(raw, known)}; allowed: {', '.join(known)}")
    if not isinstance(raw, Mapping) or set(raw) != {"mean", "std"}:
        raise ValueError(f"got {raw!r}; allowed: {', '.join(known)}, or a mapping of mean and std")
    return _checked(MeanStd(_numbers(raw["mean"]), _numbers(raw["std"])))


Normalization = Annotated[
    str | MeanStd,
    PlainValidator(parse_normalization),
    WithJsonSchema({"anyOf": [{"enum": list(NORMALIZATIONS)}, {"type": "object"}]}),
]


def preprocess_of(
    normalize: str | MeanStd,
    *,
    resize: int | None,
    crop: int | None,
    interpolation: str,
) -> Preprocess:
    """The options of a model source as one `Preprocess`."""
    if isinstance(normalize, MeanStd):
        scaling = Scaling(255.0, normalize.mean, normalize.std)
    else:
        scaling = NORMALIZATIONS[normalize]
    return Preprocess(resize, crop, interpolation, *scaling)


def _numbers(raw: Any) -> tuple[float, ...]:  # noqa: ANN401
    values = raw if isinstance(raw, list | tuple) else [raw]
    if not values or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        raise ValueError(f"got {raw!r}; allowed: a number, or one per channel")
    return tuple(float(value) for value in values)


def _checked(pair: MeanStd) -> MeanStd:
    lengths = {len(pair.mean), len(pair.std)} - {1}
    if len(lengths) > 1 or any(not value > 0 for value in pair.std):
        raise ValueError(
            f"got mean {list(pair.mean)}, std {list(pair.std)}; "
            "allowed: one value each or one per channel, std > 0"
        )
    return pair
