"""What is wrong with a fault model or its filters is told in one line with its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def fault(text: str) -> dict[str, str]:
    """The base spec with a fault model."""
    return {"name: x": f"name: x\nfault: {text}"}


RATES = "flips as many bits at any rate; give one rate above 0"
CASES: dict[str, tuple[dict[str, str], str]] = {
    "no flips": (
        fault("{exact_flips: {count: 0}}"),
        "2:23: fault.exact_flips.count: got 0; input should be greater than or equal to 1",
    ),
    "flips that are a truth value": (
        fault("{exact_flips: {count: yes}}"),
        "2:23: fault.exact_flips.count: got True; input should be a valid integer",
    ),
    "misspelt option": (
        fault("{exact_flips: {k: 3}}"),
        "2:23: fault.exact_flips.k: unknown key 'k'; allowed: count",
    ),
    "option of a single flip": (
        fault("{single_flip: {count: 1}}"),
        "2:23: fault.single_flip.count: unknown key 'count'; allowed: none",
    ),
    "two rates of a fixed count": (
        {**fault("{exact_flips: {count: 3}}"), "1e-6": "[0, 1e-6, 1e-5]"},
        f"8:3: grid.ber: exact_flips(count=3) {RATES}",
    ),
    "two rates of single flips": (
        {**fault("single_flip"), "1e-6": "{logspace: [1e-6, 1e-4]}"},
        f"8:3: grid.ber: single_flip {RATES}",
    ),
    "another rate of single flips in an included part": (
        {**fault("single_flip"), "1e-6": "1e-6\n  include: [{dtype: fp16, ber: [1e-6, 1e-3]}]"},
        f"9:27: grid.include[0].ber: single_flip {RATES}",
    ),
    "seeds that change nothing": (
        {**fault("{sign_attack: {count: 3}}"), "1e-6": "1e-6\n  seeds: 2"},
        "9:3: grid.seeds: sign_attack(count=3) flips the same bits with every seed; give one seed: "
        "seeds: 1",
    ),
    "seeds of an attacker with all images": (
        {
            **fault("{bit_flip_attack: {count: 3}}\nprofile: {images: 128}"),
            "1e-6": "1e-6\n  seeds: 2",
        },
        "10:3: grid.seeds: bit_flip_attack(count=3) flips the same bits with every seed; give one "
        "seed: seeds: 1",
    ),
    "stuck at 2": (
        fault("{stuck_at: {value: 2}}"),
        "2:20: fault.stuck_at.value: got 2, allowed: 0, 1 or 'random'",
    ),
    "rate below 0": (
        fault("{asymmetric: {zero_to_one: -1}}"),
        "2:22: fault.asymmetric.zero_to_one: got -1; input should be greater than or equal to 0",
    ),
    "rate that is no number": (
        fault("{asymmetric: {one_to_zero: .inf}}"),
        "2:22: fault.asymmetric.one_to_zero: got inf; input should be a finite number",
    ),
    "rate that is a truth value": (
        fault("{asymmetric: {one_to_zero: true}}"),
        "2:22: fault.asymmetric.one_to_zero: got True; input should be a valid number",
    ),
    "no rate": (
        fault("{asymmetric: {zero_to_one: 0, one_to_zero: 0}}"),
        "2:9: fault.asymmetric: zero_to_one and one_to_zero are both 0: nothing would ever flip",
    ),
    "burst of no bits": (
        fault("{burst: {length: 0}}"),
        "2:17: fault.burst.length: got 0; input should be greater than or equal to 1",
    ),
    "part of a bit": (
        fault("{burst: {length: 2.5}}"),
        "2:17: fault.burst.length: got 2.5; input should be a valid integer",
    ),
    "rows of no bits": (
        fault("{burst: {row_bits: 0}}"),
        "2:17: fault.burst.row_bits: got 0; input should be greater than or equal to 1",
    ),
    "burst longer than a row": (
        fault("{burst: {length: 9, row_bits: 8}}"),
        "2:9: fault.burst: got length 9; allowed: at most row_bits = 8",
    ),
    "chip without a file": (
        fault("{chip_map: {cells: 5}}"),
        "2:9: fault.chip_map.file: is required",
    ),
    "chip of no cells": (
        fault("{chip_map: {file: a.csv, cells: 0}}"),
        "2:33: fault.chip_map.cells: got 0; input should be greater than or equal to 1",
    ),
    "file that is no text": (
        fault("{chip_map: {file: 3, cells: 5}}"),
        "2:20: fault.chip_map.file: got 3; input should be a valid string",
    ),
    "unknown class of bits to flip only": (
        {"name: x": "name: x\ntargets: {only_bits: [sgn]}"},
        "2:23: targets.only_bits[0]: fp32 has no bits 'sgn' (did you mean 'sign'?); "
        "allowed: exponent, exponent_msb, mantissa, msb, sign, checks",
    ),
    "bit to flip only beyond the width": (
        {"name: x": "name: x\ntargets: {only_bits: 40}"},
        "2:11: targets.only_bits: fp32 has no bit 40; allowed: 0..31",
    ),
    "bit to flip only below 0": (
        {"name: x": "name: x\ntargets: {only_bits: -1}"},
        "2:11: targets.only_bits: got -1; allowed: at least 0 or a text",
    ),
    "scales of a dtype that stores none": (
        {"name: x": "name: x\ntargets: {only_bits: [scale]}"},
        "2:23: targets.only_bits[0]: fp32 stores no scales; leave scale out, or take a format such "
        "as mxfp8_e4m3",
    ),
    "check words to flip only, and none": (
        {"name: x": "name: x\ntargets: {only_bits: checks, exempt_bits: checks}"},
        "2:11: targets.only_bits: exempt_bits leaves none of them in fp32",
    ),
    "all bits of a format are exempt": (
        {"name: x": "name: x\ntargets: {exempt_bits: [mantissa, exponent, sign]}"},
        "2:11: targets.exempt_bits: no bit of fp32 is left that could flip",
    ),
    "all bits to flip are exempt": (
        {"name: x": "name: x\ntargets: {only_bits: exponent_msb, exempt_bits: exponent}"},
        "2:11: targets.only_bits: exempt_bits leaves none of them in fp32",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_fault_is_told_in_one_line(case: str, problems: Callable[..., list[str]]) -> None:
    changes, line = CASES[case]
    assert problems(changes) == [line]


@pytest.mark.parametrize("text", ["[0, 1e-6]", "1e-3"])
@pytest.mark.parametrize("model", ["single_flip", "{exact_flips: {count: 3}}"])
def test_one_rate_above_0_is_taken(model: str, text: str, read: Callable[..., object]) -> None:
    read({**fault(model), "1e-6": text})


def test_bits_in_both_filters_are_taken_while_one_is_left(read: Callable[..., object]) -> None:
    read({"name: x": "name: x\ntargets: {only_bits: exponent, exempt_bits: exponent_msb}"})


def test_scales_and_check_words_are_named_as_bits_are(read: Callable[..., object]) -> None:
    mx = {"dtype: fp32": "dtype: mxfp8_e4m3"}
    for text in ("only_bits: scale", "exempt_bits: [mantissa, exponent, sign]"):
        read({**mx, "name: x": f"name: x\ntargets: {{{text}}}"})
    read({"name: x": "name: x\ntargets: {exempt_bits: [sign, checks]}"})
