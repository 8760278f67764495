"""Stacks whose order or repetition takes the meaning of a method."""

from __future__ import annotations

import pytest
import torch

from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS, Method
from campaign.trial.memory import Storage, choose, corrupt, read, write

KINDS = ("weights",)
Named = tuple[str, dict[str, object]]
CODES: list[Named] = [("secded", {}), ("bch", {"errors": 3}), ("in_place_ecc", {})]
CLEARING: list[Named] = [("parity", {}), ("opportunistic_parity", {}), ("msb_copy", {"copies": 2})]


def made(*named: Named) -> tuple[Method, ...]:
    return tuple(METHODS.make(name, options) for name, options in named)


def misfit(*named: Named) -> str | None:
    """Why the last of a stack has no meaning behind the others."""
    *before, last = made(*named)
    return last.misfit(before, KINDS)


@pytest.mark.parametrize("code", CODES, ids=lambda code: code[0])
@pytest.mark.parametrize("clearing", CLEARING, ids=lambda clearing: clearing[0])
def test_what_clears_words_is_refused_behind_a_code_and_taken_before_it(
    code: Named, clearing: Named
) -> None:
    line = f"{code[0]} stands before it and would meet cleared words; put it first"
    assert misfit(code, clearing) == line
    assert misfit(code, ("nan_filter", {}), clearing) == line
    assert misfit(clearing, code) is None


def test_a_code_that_clears_is_refused_behind_another_and_taken_where_it_keeps() -> None:
    line = "bch stands before it and would meet cleared words; keep words beyond repair"
    assert misfit(("bch", {}), ("secded", {})) == line
    assert misfit(("bch", {}), ("in_place_ecc", {})) == line
    assert misfit(("bch", {}), ("secded", {"on_double": "keep"})) is None
    assert misfit(("secded", {}), ("bch", {"on_failure": "keep"})) is None
    assert misfit(("bch", {}), ("in_place_ecc", {"on_double": "keep"})) is None


def test_what_corrects_word_by_word_stands_behind_a_code() -> None:
    for name in ("nmr", "selective", "msb_copy", "selective_words", "range_clamp"):
        assert misfit(("secded", {}), (name, {})) is None


def lost(*named: Named) -> int:
    """Weights of 20,000 that differ from the stored ones over 5 seeds."""
    storage = Storage(FORMATS.make("fp16"), made(*named))
    weight = torch.randn(4000, generator=torch.Generator().manual_seed(0)) * 0.1
    stored, fault, wrong = write("w", weight, storage), FAULTS.make("bit_flip"), 0
    for seed in range(5):
        faults = corrupt(stored, choose([stored], fault, storage, ber=2e-3, seed=seed))
        wrong += int((read(stored, faults.fields, storage).weight != stored.clean).sum())
    return wrong


def test_the_refused_order_of_parity_and_a_code_is_worse_than_either_alone() -> None:
    secded, parity = ("secded", {}), ("parity", {})
    alone = lost(secded), lost(parity)
    assert lost(secded, parity) > max(alone)
    assert lost(parity, secded) < lost(parity)


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_stands_once_in_a_stack(name: str) -> None:
    method = METHODS.make(name)
    assert "once" in str(method.misfit((METHODS.make("secded", {"data_bits": 32}), method), KINDS))


def test_methods_of_other_options_are_others() -> None:
    assert misfit(("range_clamp", {"per": "row"}), ("range_clamp", {})) is None


@pytest.mark.parametrize("name", ["weight_scaling", "saf"])
def test_clipping_in_units_of_the_weight_comes_before_what_changes_it(name: str) -> None:
    changing, clipping = (name, {}), ("weight_clipping", {})
    assert str(misfit(changing, clipping)).endswith("in units of; put it first")
    assert misfit(clipping, changing) is None
    assert misfit(("parity", {}), ("nan_filter", {}), clipping) is None
