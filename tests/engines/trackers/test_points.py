"""Frames of curves as names, parameters and stepped values."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from campaign.engines.trackers.points import curve_runs, digest, flatten, ladder

Curves = Callable[..., pd.DataFrame]
BARE = {"model": "m", "dtype": "int8", "method": "none", "ber": 1e-3, "top1_mean": 0.5}


def named(frame: pd.DataFrame) -> list[str]:
    return [curve.name for curve in curve_runs(frame, ladder(frame, [])).values()]


def test_columns_that_are_not_needed_may_lack() -> None:
    frame = pd.DataFrame([BARE])
    (curve,) = curve_runs(frame, ladder(frame, [])).values()
    assert curve.params == {"model": "m", "dtype": "int8", "method": "none"}
    assert curve.values == {("top1_mean", 1): 0.5, ("ber", 1): 1e-3, ("log10_ber", 1): -3.0}


def test_a_needed_column_that_lacks_is_named() -> None:
    with pytest.raises(ValueError, match=r"lack the columns \['dtype'\]"):
        named(pd.DataFrame([BARE]).drop(columns="dtype"))


def test_a_rate_that_is_none_is_refused() -> None:
    frame = pd.DataFrame([BARE | {"ber": 1.5}])
    with pytest.raises(ValueError, match=r"column ber: got 1\.5; allowed: a probability"):
        named(frame)


def test_names_are_what_a_person_would_say(curves: Curves) -> None:
    assert named(curves()) == ["resnet20 · fp32 · none", "resnet20 · fp32 · weight_scaling · t=2"]
    zeroed = curves(methods=(("weight_scaling", 0.125),), nonfinite="zero")
    assert named(zeroed) == ["resnet20 · fp32 · weight_scaling · t=0.125 · zero"]


def test_curves_differ_where_any_axis_differs(curves: Curves) -> None:
    frames = [
        curves(),
        curves(methods=(("weight_scaling", 2.5),)),
        curves(nonfinite="zero"),
        curves(targets="weights+biases"),
        curves(dataset="digits"),
    ]
    frame = pd.concat(frames)
    assert len(curve_runs(frame, ladder(frame, []))) == 2 + 1 + 2 + 2 + 2


def test_ids_do_not_depend_on_the_order_or_type_of_columns(curves: Curves) -> None:
    frame = curves()
    turned = frame[frame.columns[::-1]].astype({"t": object, "model": "category"})
    steps = ladder(frame, [])
    assert curve_runs(turned, steps) == curve_runs(frame, steps)


def test_values_are_plain_finite_numbers(curves: Curves) -> None:
    frame = curves(top1_low=np.float32(0.25), top1_high=pd.NA, top1_sd=None, n_failed=np.int64(3))
    for curve in curve_runs(frame, ladder(frame, [])).values():
        assert all(type(value) is float and math.isfinite(value) for value in curve.values.values())
        assert curve.values["top1_low", 1] == 0.25
        assert curve.values["n_failed", 1] == 3.0
        assert not {"top1_high", "top1_sd"} & {metric for metric, _ in curve.values}


def test_steps_join_grid_and_rows_and_begin_with_the_fault_free_point(curves: Curves) -> None:
    assert ladder(curves(bers=(1e-4,)), [1e-2, 1e-6]) == (0.0, 1e-6, 1e-4, 1e-2)
    assert ladder(pd.DataFrame(), []) == (0.0,)


def test_a_spec_becomes_short_parameters() -> None:
    flat = flatten(
        {
            "models": [{"digits": {"width": 8}}],
            "grid": {"ber": [0.0, 1e-6], "seeds": range(10_000), "t": None, "empty": []},
            "odd key!": True,
            "long": list(range(1000)),
        }
    )
    assert flat["models"] == '[{"digits": {"width": 8}}]'
    assert (flat["grid.ber"], flat["grid.seeds"]) == ("0.0, 1e-06", "0 .. 9999")
    assert flat["odd key_"] == "True"
    assert len(flat["long"]) == 500
    assert flat["long"].endswith(" …")
    assert not {"grid.t", "grid.empty"} & set(flat)


def test_the_fingerprint_of_values_depends_on_each_and_not_on_their_order() -> None:
    values = {("top1_mean", 1): 0.5, ("top1_mean", 2): 0.25}
    assert digest(dict(reversed(values.items()))) == digest(values)
    assert digest({**values, ("top1_mean", 2): 0.250000001}) != digest(values)
    assert digest({}) != digest(values)
