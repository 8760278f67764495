"""Sensitivity studies: points that differ in one thing about faults, set side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from campaign.analysis.factors import Exposure, Fall, bit_name, exposure_of, fall_of
from campaign.analysis.order import Order
from campaign.analysis.page.outcomes import CLASSES
from campaign.analysis.rows import CURVE_KEYS, POINT_KEYS, Metric, numbered

ALL_CLASSES = {**CLASSES, "sdc5": "n_sdc5", "improved": "n_improved"}
"""Class of outcome -> column of counts: those that sum to all images, and two that cut across."""
SHARED_KEYS = [key for key in CURVE_KEYS if key not in ("fault", "targets")]
HELD = ["held_fault", "held_targets"]


class Level(NamedTuple):
    """What one fault and target are in a study."""

    value: str
    """What the study varies, as people read it."""
    rank: tuple[Any, ...]
    """Its place among the others."""
    fault: str
    """What is said of the fault beside it, empty where it is part of the value."""
    targets: str
    proper: bool = True
    """Whether it belongs to the study by itself; others are what a proper one is compared with."""


Reading = Callable[[Fall, Exposure, str], Level | None]


def _bit(fall: Fall, exposure: Exposure, dtype: str) -> Level | None:
    if not exposure.only or "," in exposure.only:
        return None
    bit = exposure.only
    rank = (0, -int(bit)) if bit.isdecimal() else (1, bit)
    return Level(bit_name(bit, dtype), rank, _fault(fall), _said(exposure._replace(only="")))


def _layer(fall: Fall, exposure: Exposure, dtype: str) -> Level | None:
    if not exposure.include:
        return None
    name = exposure.include
    short = name.removesuffix(".*") if "," not in name else name
    pieces = tuple(int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", name))
    return Level(short, pieces, _fault(fall), _said(exposure._replace(include="")))


def _kind(fall: Fall, exposure: Exposure, dtype: str) -> Level | None:
    kinds = exposure.kinds
    order = ("weights", "biases", "norms", "other")
    rank = (kinds.count("+"), *(order.index(k) if k in order else 4 for k in kinds.split("+")))
    return Level(kinds, rank, _fault(fall), _said(exposure._replace(kinds="")))


def _direction(fall: Fall, exposure: Exposure, dtype: str) -> Level | None:
    if fall.name not in ("asymmetric", "bit_flip"):
        return None
    up = float(fall.options.get("zero_to_one", 1.0))
    down = float(fall.options.get("one_to_zero", 1.0))
    if up and down:
        value = "both alike" if up == down == 1 else f"0 to 1 x {up:g}, 1 to 0 x {down:g}"
    else:
        value = "0 to 1" if up else "1 to 0"
        value += "" if up + down == 1 else f" x {up + down:g}"
    proper = fall.name == "asymmetric"
    return Level(value, (-up + down, up), _lasting(fall), _said(exposure), proper)


def _burst(fall: Fall, exposure: Exposure, dtype: str) -> Level | None:
    if fall.name not in ("burst", "bit_flip"):
        return None
    length = int(fall.options.get("length", 2)) if fall.name == "burst" else 1
    row = fall.options.get("row_bits")
    value = f"{length}" if row is None else f"{length} (rows of {row})"
    proper = fall.name == "burst"
    return Level(value, (length, row or ""), _lasting(fall), _said(exposure), proper)


def _lifetime(fall: Fall, exposure: Exposure, dtype: str) -> Level | None:
    value = "persistent" if fall.images is None else f"{fall.images} images"
    rank = (fall.images is not None, -(fall.images or 0))
    return Level(value, rank, fall.fault, _said(exposure), fall.images is not None)


def _fault(fall: Fall) -> str:
    return fall.fault + _lasting(fall)


def _lasting(fall: Fall) -> str:
    return "" if fall.images is None else f" every {fall.images} images"


def _said(exposure: Exposure) -> str:
    """The rest of a ``targets`` label."""
    starts = ("", "only ", "not ", "bits exempt: ", "bits only: ")
    return "; ".join(start + part for start, part in zip(starts, exposure, strict=True) if part)


STUDIES: Mapping[str, tuple[str, Reading]] = {
    "bit": ("Bit position", _bit),
    "layer": ("Layer", _layer),
    "kind": ("Kind of parameter", _kind),
    "direction": ("Direction of flips", _direction),
    "burst": ("Adjacent bits of an event", _burst),
    "lifetime": ("Images that a fault map lasts", _lifetime),
}
"""Name -> what varies in it, and how a row is read."""


def sensitivity(
    points: pd.DataFrame,
    shares: pd.DataFrame,
    metric: Metric = "top1",
    order: Order = Order(),  # noqa: B008 - immutable
) -> pd.DataFrame:
    """Every point that differs from another one in one thing about faults, in all its studies.

    Args:
        points: What `curves.curves` gives.
        shares: What `outcomes.outcomes` gives for `ALL_CLASSES`, row by row beside `points`.
        metric: ``top1`` or ``top5``.
        order: In which order targets stand.

    Returns:
        One row for each study, group and point above BER 0: ``study`` (a key of `STUDIES`),
        ``group`` (0, 1, ...: points that differ in nothing else), ``value`` (what differs),
        ``place`` (of the value in its group), the columns of `POINT_KEYS`, ``held_fault`` and
        ``held_targets`` (what else is said of them), ``n_trials``, ``clean``, ``mean``, ``low``,
        ``high`` (shares), ``drop``, ``drop_low``, ``drop_high`` (clean less those),
        ``flipped_bits_mean``, and shares of images by class. A group has two values or more at
        each of its BERs.
    """
    table = pd.concat([points, shares[list(ALL_CLASSES)]], axis=1)
    table = table[table["ber"] > 0].reset_index(drop=True)
    found = [_study(table, name, order) for name in STUDIES]
    held = [part for part in found if not part.empty]
    whole = pd.concat(held, ignore_index=True) if held else found[0]
    whole["group"] = numbered(whole, ["study", *SHARED_KEYS, *HELD])
    for end in ("mean", "low", "high"):
        whole[end] = whole[f"{metric}_{end}"].astype(float)
    whole["clean"] = whole[f"{metric}_clean"].astype(float)
    whole["drop"] = whole["clean"] - whole["mean"]
    whole["drop_low"], whole["drop_high"] = (whole["clean"] - whole[e] for e in ("high", "low"))
    columns = ["study", "group", "value", "place", *POINT_KEYS, *HELD, "n_trials"]
    measured = ["clean", "mean", "low", "high", "drop", "drop_low", "drop_high"]
    return whole[[*columns, *measured, "flipped_bits_mean", *ALL_CLASSES]]


def _study(table: pd.DataFrame, name: str, order: Order) -> pd.DataFrame:
    """The points of one study."""
    read = STUDIES[name][1]
    keys = table[["fault", "targets", "dtype"]].astype(str)
    seen = {tuple(key) for key in keys.itertuples(index=False)}
    levels = {key: read(fall_of(key[0]), exposure_of(key[1]), key[2]) for key in seen}
    each = [levels[tuple(key)] for key in keys.itertuples(index=False)]
    held = [level for level in each if level is not None]
    mine = np.array([level is not None for level in each], bool)
    part = table[mine].assign(
        study=name,
        value=[level.value for level in held],
        held_fault=[level.fault for level in held],
        held_targets=[level.targets for level in held],
    )
    if part.empty:
        return part.assign(place=0)
    listed = {
        target: place for place, target in enumerate(order.targets if name == "layer" else ())
    }
    ranks = [
        (listed.get(target, len(listed)), level.rank)
        for target, level in zip(part["targets"], held, strict=True)
    ]
    places = {rank: place for place, rank in enumerate(sorted(set(ranks)))}
    proper = pd.Series([level.proper for level in held], part.index)
    cell = numbered(part, [*SHARED_KEYS, *HELD, "ber"])
    several = part.groupby(cell)["value"].transform("nunique") > 1
    part = part.assign(place=[places[rank] for rank in ranks])
    part = part[several & proper.groupby(cell).transform("any")]
    return part.sort_values([*SHARED_KEYS, *HELD, "place", "ber"], kind="stable")


def in_curves(points: pd.DataFrame, studied: pd.DataFrame) -> pd.Series:
    """Which points stand in curves: all but those of studies, of which one variant is kept.

    That is the fault and target that takes part in the most studies; ``bit_flip`` on ``weights``
    where several do, else the first by name.

    Args:
        points: Rows with ``fault`` and ``targets``.
        studied: What `sensitivity` gives.
    """
    counts = studied.groupby(["fault", "targets"])["study"].nunique()
    dropped = set(counts.index)
    if dropped:
        usual = ("bit_flip", "weights")
        dropped -= {min(dropped, key=lambda pair: (-counts[pair], pair != usual, pair))}
    return ~pd.Series(list(zip(points["fault"], points["targets"], strict=True))).isin(dropped)
