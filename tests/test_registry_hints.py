"""What a registry suggests for a name that is nearly right."""

from __future__ import annotations

import pytest

from campaign.formats import FORMATS
from campaign.registry import UnknownNameError
from campaign.sources import MODELS


@pytest.mark.parametrize(
    ("registry", "name", "meant"),
    [
        (FORMATS, "Q2.5", "q2_5"),
        (FORMATS, "INT8", "int8"),
        (FORMATS, "fp23", "fp32"),
        (MODELS, "resnet18", "torchvision/resnet18"),
        (MODELS, "digit_cnn", "digits_cnn"),
    ],
)
def test_the_probable_name_is_suggested(registry, name, meant) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean '{meant}'"):
        registry.make(name)
