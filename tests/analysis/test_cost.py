"""Overheads and fronts of rows with known answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from campaign.analysis.cost import COST_COLUMNS, at_least, costs
from campaign.analysis.cost_table import for_people, write_costs
from campaign.analysis.tolerance import tolerated_ber

Make = Callable[..., Any]
BERS = (1e-6, 1e-5, 1e-4)


def curve(make_points: Make, last: int, **given: Any) -> list[dict[str, Any]]:
    """Clean accuracy 0.9 up to the BER number `last` of `BERS`, then 0.1; three seeds."""
    rows = make_points([0.9], 0.0, **given)
    for place, ber in enumerate(BERS):
        rows += make_points([0.9 if place < last else 0.1] * 3, ber, **given)
    return rows


@pytest.fixture
def rows(make_points: Make, to_frame: Make) -> pd.DataFrame:
    more = {"check_bits": 100, "protection_operations": 20_000}
    return to_frame(
        [
            *curve(make_points, 1, method="none"),
            *curve(make_points, 2, method="parity", **more, constant_bits=7),
            *curve(make_points, 1, method="useless", **more),
            *curve(make_points, 0, method="harmful", protection_operations=1),
            *curve(make_points, 3, method="perfect", **{**more, "check_bits": 2000}),
            *curve(make_points, 2, method="none", dtype="int8", stored_bits=250),
        ]
    )


def of(table: pd.DataFrame, method: str, dtype: str = "fp32") -> Any:
    return table[(table["method"] == method) & (table["dtype"] == dtype)].iloc[0]


def test_overheads_are_ratios_of_the_columns_of_the_rows(rows: pd.DataFrame) -> None:
    row = of(costs(rows), "parity")
    assert row["bits_per_weight"] == 1100 / 100
    assert row["total_bits_per_weight"] == 1107 / 100
    assert row["memory_overhead"] == 107 / 1000
    assert row["operations_overhead"] == 20_000 / 100_000
    assert row["clean"] == 0.9
    assert (row["lowest_ber"], row["highest_ber"]) == (1e-6, 1e-4)


def test_tolerated_bers_are_those_of_the_summary(rows: pd.DataFrame) -> None:
    found, expected = costs(rows), tolerated_ber(rows)
    for name in expected:
        pd.testing.assert_series_equal(found[name], expected[name])


def test_fronts_hold_what_is_not_beaten_within_the_dtype_and_over_all(rows: pd.DataFrame) -> None:
    table = costs(rows)
    within = {m for d, m in table.loc[table["front_of_dtype"], ["dtype", "method"]].to_numpy()}
    assert within == {"none", "parity", "perfect"}
    over = table.loc[table["front_of_model"], ["dtype", "method"]].to_numpy().tolist()
    assert sorted(over) == [["fp32", "perfect"], ["int8", "none"]]


def test_what_is_worse_without_faults_than_others_under_them_is_on_no_front(
    rows: pd.DataFrame, make_points: Make, to_frame: Make
) -> None:
    def with_clean(clean: float) -> pd.DataFrame:
        free = dict.fromkeys(("constant_bits", "check_bits", "protection_operations"), 0)
        points = make_points([clean], 0.0, method="blind", **free)
        for ber in BERS:
            points += make_points([clean] * 3, ber, method="blind", **free)
        return costs(pd.concat([rows, to_frame(points)], ignore_index=True))

    blind, expected = with_clean(0.84), costs(rows)
    assert list(of(blind, "blind")[["ber_at_5pt_note", "clean"]]) == ["> 1e-4", 0.84]
    pd.testing.assert_frame_equal(
        blind[blind["method"] != "blind"].reset_index(drop=True), expected
    )
    assert not of(blind, "blind")[["front_of_dtype", "front_of_model"]].any()
    assert of(with_clean(0.85), "blind")[["front_of_dtype", "front_of_model"]].all()


def test_what_never_falls_tolerates_more_and_what_fell_at_once_none(rows: pd.DataFrame) -> None:
    table = costs(rows)
    known = dict(zip(table["dtype"] + table["method"], at_least(table), strict=True))
    assert known["fp32perfect"] == np.nextafter(1e-4, 1)
    assert known["fp32harmful"] == 0
    assert 1e-6 < known["fp32none"] < 1e-5 < known["fp32parity"] < 1e-4


def test_variants_and_models_have_fronts_of_their_own(rows: pd.DataFrame) -> None:
    other = rows.assign(nonfinite="zero", n_correct=rows["n_correct"] // 2)
    other["trial_id"] += "z"
    other["setup_id"] += "z"
    both = costs(pd.concat([rows, other], ignore_index=True))
    alone = costs(rows)
    kept = both[both["nonfinite"] == "propagate"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, alone)


def test_rows_without_columns_of_cost_and_failed_ones_are_left_out(rows: pd.DataFrame) -> None:
    old = rows["method"] == "parity"
    rows = rows.astype(dict.fromkeys(COST_COLUMNS, float))
    rows.loc[old, "constant_bits"] = np.nan
    failed = (rows["method"] == "none") & (rows["seed"] == 0) & (rows["ber"] > 0)
    rows.loc[failed, ["status", *COST_COLUMNS]] = ["error", *[np.nan] * len(COST_COLUMNS)]
    table = costs(rows)
    assert "parity" not in set(table["method"])
    assert of(table, "none")["bits_per_weight"] == 10
    assert costs(rows.assign(n_weights=np.nan)).empty


def test_the_order_of_rows_does_not_matter(rows: pd.DataFrame) -> None:
    shuffled = costs(rows.sample(frac=1, random_state=4))
    pd.testing.assert_frame_equal(shuffled, costs(rows))


def test_the_table_for_people_says_bounds_and_percent(rows: pd.DataFrame, tmp_path: Path) -> None:
    table = costs(rows)
    grid = for_people(table, "top1")
    names = ["".join((c.short, *c.name)) for c in grid.columns]
    cells = {
        (row[0][0], row[1][0], row[2][0]): dict(zip(names, map("".join, row), strict=True))
        for block in grid.blocks
        for row in block
    }
    parity = cells["resnet20", "fp32", "parity"]
    assert (parity["Bits"], parity["Overhead memory"]) == ("11.00", "10.7")
    assert parity["Overhead operations"] == "20.0"
    assert parity["On the front of dtype"] == "yes"
    assert cells["resnet20", "fp32", "perfect"]["BER at 5 pt drop"] == "> 1e-4"
    assert cells["resnet20", "fp32", "harmful"]["BER at 5 pt drop"] == "< 1e-6"
    assert [len(block) for block in grid.blocks] == [5, 1]
    written = write_costs(table, tmp_path, "top1")
    assert [path.name for path in written] == ["cost_top1.csv", "cost_top1.md", "cost_top1.tex"]
    read = pd.read_csv(written[0])
    np.testing.assert_array_equal(read["memory_overhead"], table["memory_overhead"])
    assert write_costs(table.iloc[:0], tmp_path / "none", "top1") == []
