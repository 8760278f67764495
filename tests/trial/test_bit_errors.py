"""Exhaustive flips through the codecs cost what a loop, and what the closed form, says."""

import numpy as np
import pytest
import torch

from campaign.analysis.closed_form import Numbers, code_of, expected_errors
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.methods.weight_scaling import WeightScaling
from campaign.trial.bit_errors import held_numbers, swings
from campaign.trial.memory import Storage, write

WEIGHT = torch.randn(24, 5, 3, generator=torch.Generator().manual_seed(3)) * 0.1
CHOICES = [
    *((cls.example if hasattr(cls, "example") else cls.name, {}) for cls in FORMATS),
    *((f"mx{element}", {}) for element in ("fp4", "fp6_e3m2", "fp8_e5m2", "int8")),
    ("int8", {"per": "channel"}),
    ("int4", {"per": "group", "group_size": 4, "scheme": "asymmetric", "storage": "unsigned"}),
    ("int8", {"scheme": "robust", "storage": "unsigned"}),
    ("int6", {"scheme": "robust", "per": "group", "group_size": 4}),
]


@pytest.mark.parametrize(("name", "options"), CHOICES, ids=str)
def test_the_closed_form_is_what_codecs_give(name: str, options: dict[str, object]) -> None:
    fmt = FORMATS.make(name, options)
    code = code_of(fmt)
    assert code is not None
    stacks = [()]
    if fmt.largest is not None:
        stacks += [(WeightScaling(t=t, per=per),) for t in (0.9, fmt.largest) for per in PER]
    for stack in stacks:
        for policy in ("propagate", "zero", "clamp"):
            storage = Storage(fmt, stack, policy)
            stored = write("w", WEIGHT, storage)
            held = held_numbers(stored, fmt)
            assert held is not None
            closed = expected_errors(code, Numbers(*held), policy)
            found = np.array([swings(stored, storage, bit) for bit in range(fmt.width)])
            np.testing.assert_array_equal(found[:, 2], closed.nonfinite)
            ulps = 2e-7 * float(WEIGHT.abs().sum())  # weights are float32
            np.testing.assert_allclose(found[:, 0], closed.absolute, rtol=1e-5, atol=ulps)
            square = ulps * float(WEIGHT.abs().max()) * 1e-2
            np.testing.assert_allclose(found[:, 1], closed.squared, rtol=1e-4, atol=square)


PER = ("layer", "channel")


def test_measured_errors_are_those_of_a_loop_over_patterns() -> None:
    storage = Storage(FORMATS.make("fp16"), (WeightScaling(t=256.0),), "zero")
    stored = write("w", WEIGHT, storage)
    c = 256.0 / float(WEIGHT.abs().max())
    words = (WEIGHT.double().numpy() * c).astype(np.float32).astype(np.float16).view(np.uint16)
    clean = words.view(np.float16).astype(float) / c
    for bit in range(16):
        read = (words ^ np.uint16(1 << bit)).view(np.float16)
        error = np.where(np.isfinite(read), read, 0).astype(float) / c - clean
        found = swings(stored, storage, bit)
        assert found.absolute == pytest.approx(np.abs(error).sum(), rel=1e-5)
        assert found.squared == pytest.approx((error**2).sum(), rel=1e-4)
        assert found.nonfinite == 0


def test_there_is_no_closed_form_where_a_method_changes_what_words_mean() -> None:
    fmt = FORMATS.make("fp16")
    for name, known in (("saf", False), ("range_clamp", False), ("secded", True), ("parity", True)):
        stored = write("w", WEIGHT, Storage(fmt, (METHODS.make(name),)))
        assert (held_numbers(stored, fmt) is not None) == known
