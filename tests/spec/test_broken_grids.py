"""Combinations without a meaning are told at the key that makes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

SCALED = {"method: none": "method: weight_scaling"}
LARGEST = "t = 65536 is above the largest fp16 value 65504"
UNDONE = "int8 fits a scale of its own to the weights, so t has no meaning"
CASES: dict[str, tuple[dict[str, str], str]] = {
    "scaling without t": (
        SCALED,
        "6:3: grid.method: weight_scaling takes t: give its values as grid.t",
    ),
    "t without scaling": (
        {"1e-6": "1e-6\n  t: 2"},
        "8:3: grid.t: no method of the grid takes t; leave it out or add weight_scaling",
    ),
    "t for another dtype": (
        {**SCALED, "1e-6": "1e-6\n  t: {fp16: 2, fp23: 2, '*': 1}", "fp32": "[fp32, fp16]"},
        "8:16: grid.t.fp23: no dtype 'fp23' (did you mean 'fp32'?); known: fp32, fp16",
    ),
    "no t for a dtype": (
        {**SCALED, "1e-6": "1e-6\n  t: {fp16: 2}", "fp32": "[fp32, fp16]"},
        "8:3: grid.t: no value for dtype fp32: add fp32: [...] or '*': [...]",
    ),
    "t above the largest value": (
        {**SCALED, "1e-6": "1e-6\n  t: 2^16", "fp32": "[fp32, fp16]"},
        f"6:3: grid.method: weight_scaling: {LARGEST}; "
        "exclude {dtype: fp16, method: weight_scaling, t: 65536}",
    ),
    "max of a dtype without one": (
        {
            "method: none": "method: [none, weight_scaling]",
            "1e-6": "1e-6\n  t: max",
            "fp32": "[fp32, int8]",
        },
        f"6:18: grid.method[1]: weight_scaling: {UNDONE}; "
        "exclude {dtype: int8, method: weight_scaling}",
    ),
    "no t for an included dtype": (
        {
            "1e-6": "1e-6\n  t: {fp32: 1}\n  include: [{dtype: fp16, method: weight_scaling}]",
        },
        "8:3: grid.t: no value for dtype fp16: add fp16: [...] or '*': [...]",
    ),
    "search options without a search": (
        {"method: none": "method: {ft_clipact: {threshold: profiled, injections: 3}}"},
        "6:12: grid.method.ft_clipact: threshold: profiled searches nothing, so injections would "
        "do nothing; leave out, or use threshold: searched",
    ),
    "models of one name": (
        {"models: digits_cnn": "models: [digits_cnn, digits_cnn]"},
        "2:22: models[1]: a second model is called 'digits_cnn'; give one of them another with "
        "name:",
    ),
    "dtype twice": (
        {"dtype: fp32": "dtype: [fp32, int8, {int8: {per: tensor}}]"},
        "5:23: grid.dtype[2]: int8 stands twice",
    ),
    "method twice": (
        {"method: none": "method: [saf, {saf: {function: tanh}}]"},
        "6:17: grid.method[1]: saf stands twice with the same options",
    ),
    "none in a stack": (
        {"method: none": "method: [[none, parity]]"},
        "6:12: grid.method[0]: none cannot be part of a stack; leave it out",
    ),
    "rule that names nothing": (
        {"1e-6": "1e-6\n  exclude: [{method: [none, weight_*]}]"},
        "8:29: grid.exclude[0].method[1]: 'weight_*' names nothing of this grid; known: none",
    ),
    "rule that names nothing but nearly": (
        {"1e-6": "1e-6\n  exclude: {dtype: fp31}"},
        "8:13: grid.exclude.dtype: 'fp31' names nothing of this grid (did you mean 'fp32'?); "
        "known: fp32",
    ),
    "empty rule": (
        {"1e-6": "1e-6\n  exclude: [{}]"},
        "8:13: grid.exclude[0]: an empty rule excludes everything; name an axis",
    ),
    "nothing left": (
        {"1e-6": "1e-6\n  exclude: {dtype: fp32}"},
        "4:1: grid: no point is left: every combination is excluded",
    ),
    "included model that is not there": (
        {"1e-6": "1e-6\n  include: [{model: digit_cnn}]"},
        "8:14: grid.include[0].model: no model 'digit_cnn' (did you mean 'digits_cnn'?); "
        "known: digits_cnn",
    ),
    "unknown class of bits": (
        {"name: x": "name: x\ntargets: {exempt_bits: [sign, expnent]}"},
        "2:31: targets.exempt_bits[1]: fp32 has no bits 'expnent' (did you mean 'exponent'?); "
        "allowed: exponent, exponent_msb, mantissa, msb, sign, checks",
    ),
    "bit beyond the width": (
        {"name: x": "name: x\ntargets: {exempt_bits: 32}"},
        "2:11: targets.exempt_bits: fp32 has no bit 32; allowed: 0..31",
    ),
    "a learner without a profile split": (
        {"method: none": "method: [none, [nan_filter, ranger]]"},
        "6:18: grid.method[1]: ranger learns from images that trials are not judged on: name them "
        "as profile: {images: 500} (held out of the test set) or profile: {dataset: ...}",
    ),
    "nothing exposed": (
        {"name: x": "name: x\ntargets: {weights: false}"},
        "2:1: targets: nothing is exposed; set one of weights, biases, norms, other, activations "
        "to true",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_combination_without_a_meaning_is_told_in_one_line(
    case: str, problems: Callable[..., list[str]]
) -> None:
    changes, line = CASES[case]
    assert problems(changes) == [line]


def test_scaling_of_a_dtype_with_its_own_scale_is_told(
    problems: Callable[..., list[str]],
) -> None:
    told = problems({**SCALED, "dtype: fp32": "dtype: int8", "1e-6": "1e-6\n  t: 2"})
    assert told == [
        f"6:3: grid.method: weight_scaling: {UNDONE}; "
        "exclude {dtype: int8, method: weight_scaling}"
    ]


def test_a_fault_of_the_grid_is_told_only_once_fields_are_right(
    problems: Callable[..., list[str]],
) -> None:
    told = problems({**SCALED, "ber: 1e-6": "ber: 3"})
    assert told == ["7:3: grid.ber: got 3; allowed: at most 1"]
