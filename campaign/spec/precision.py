"""How well means are to be known, as the author of a spec writes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from campaign.spec import axes
from campaign.spec.roles import Section, axis

NotBool = BeforeValidator(axes.number)
HalfWidth = Annotated[float, Field(gt=0, lt=0.5, allow_inf_nan=False), NotBool]
Confidence = Annotated[float, Field(ge=0.5, lt=1, allow_inf_nan=False), NotBool]
Maps = Annotated[int, Field(ge=2, le=1_000_000), NotBool]
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False), NotBool]


class PrecisionSpec(Section):
    """How well the mean accuracy at each BER is to be known; then fault maps are not counted.

    Each fault map is judged on a sample of the test set, and maps are added until the interval of
    the mean is narrow enough; see `campaign.analysis.sequential`.
    """

    half_width: HalfWidth = axis(
        0.01, "Half the width of the interval of the mean, as a share: 0.01 is one point."
    )
    confidence: Confidence = axis(0.95, "Nominal coverage of the interval.")
    max_seeds: Maps = axis(
        10_000,
        "Fault maps after which a BER is given up, and said to be; about 4,000 know a "
        "bimodal mean to one point.",
    )
    min_seeds: Maps = axis(50, "Fault maps before the first decision.")
    map_cost: Cost = axis(
        50.0, "What a fault map costs before its first image, in images: weighs maps and images."
    )
