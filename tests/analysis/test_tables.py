"""Summary tables against the curves they sum up."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from campaign.analysis.curves import curves
from campaign.analysis.rows import CURVE_KEYS
from campaign.analysis.tables import for_people, summary, write_tables
from campaign.analysis.tolerance import tolerated_ber
from campaign.errors import CampaignError

Make = Callable[..., Any]
PROTECTIONS = [("none", None), ("weight_scaling", 2.0), ("weight_scaling", 2.0**120)]


def column(grid: Any, name: str) -> list[str]:
    place = ["".join((c.short, *c.name)) for c in grid.columns].index(name)
    return ["".join(row[place]) for block in grid.blocks for row in block]


def test_each_curve_has_a_row_with_its_means_and_tolerated_bers(make_rows: Make) -> None:
    rows = make_rows(models=["b", "a"], protections=PROTECTIONS)
    table, points, found = summary(rows), curves(rows), tolerated_ber(rows)
    assert len(table) == 6
    for _, row in table.iterrows():
        same = (points[CURVE_KEYS].fillna(-1) == row[CURVE_KEYS].fillna(-1)).all(axis=1)
        for point in points[same & (points["ber"] > 0)].itertuples():
            assert row[f"mean_at_{point.ber!r}"] == point.top1_mean
        assert row["clean"] == 0.92
        assert row["n_seeds"] == 5
    for name in found:
        pd.testing.assert_series_equal(table[name], found[name])


def test_the_csv_reads_back_to_the_last_digit(make_rows: Make, tmp_path: Path) -> None:
    rows = make_rows(protections=PROTECTIONS)
    written = write_tables(rows, tmp_path / "tables")
    assert [path.name for path in written] == [
        "summary_top1.csv",
        "summary_top1.md",
        "summary_top1.tex",
        "points.csv",
    ]
    for path, expected in ((written[0], summary(rows)), (written[3], curves(rows))):
        with path.open(newline="", encoding="utf-8") as lines:
            found = list(csv.DictReader(lines))
        assert list(found[0]) == list(expected)
        for name in expected:
            if expected[name].dtype.kind == "f":
                read = [float(row[name] or "nan") for row in found]
                np.testing.assert_array_equal(read, expected[name])


def test_what_all_curves_share_is_said_once_and_what_differs_is_a_column(make_rows: Make) -> None:
    grid = for_people(summary(make_rows(nonfinite=["propagate", "zero"])), "top1")
    assert column(grid, "nonfinite") == ["propagate", "zero"] * 2
    assert "dataset cifar10, fault bit_flip, targets weights" in grid.caption[0]
    names = [c.name[0] for c in grid.columns]
    assert "t" not in names
    assert "Failed" not in names


def test_people_read_percent_and_intervals(make_points: Make, to_frame: Make) -> None:
    rows = make_points([0.9264], 0.0) + make_points([0.9264] * 8, 1e-6, check_bits=219)
    rows += make_points(np.linspace(0.5, 0.6, 8), 1e-4, check_bits=219)
    rows[0]["check_bits"] = 219
    grid = for_people(summary(to_frame(rows)), "top1")
    assert column(grid, "Clean") == ["92.64"]
    assert column(grid, "at 1e-4") == ["55.0"]
    assert column(grid, "Overhead") == ["21.9"]
    (cell,) = column(grid, "BER at 5 pt drop")
    best, low, high = (
        float(part) for part in cell.replace("[", "").replace("]", "").replace(",", "").split()
    )
    assert 1e-6 < low <= best <= high < 1e-4


def test_limits_of_what_was_measured_are_said_as_such(make_points: Make, to_frame: Make) -> None:
    rows = make_points([0.9], 0.0) + make_points([0.9] * 3, 1e-6)
    rows += make_points([0.2] * 3, 1e-6, dtype="fp16")
    grid = for_people(summary(to_frame(rows)), "top1")
    assert column(grid, "BER at 1 pt drop") == ["-", "> 1e-6"]
    assert column(grid, "Clean") == ["-", "90.00"]


def test_failed_trials_get_a_column(make_rows: Make) -> None:
    rows = make_rows()
    rows.loc[rows.index[-2:], ["status", "n_correct"]] = ["oom", np.nan]
    grid = for_people(summary(rows), "top1")
    assert column(grid, "Failed") == ["0", "2"]


def test_at_most_five_bers_are_shown_the_first_and_last_among_them(make_rows: Make) -> None:
    bers = [0.0, *(10.0**k for k in range(-12, -1))]
    grid = for_people(summary(make_rows(bers=bers, seeds=2)), "top1")
    shown = [c.name[0] for c in grid.columns if c.group == "Mean at BER"]
    assert len(shown) == 5
    assert (shown[0], shown[-1]) == ("1e-12", "1e-2")


def test_models_are_apart_in_the_tables(make_rows: Make, tmp_path: Path) -> None:
    written = write_tables(make_rows(models=["m_1", "m_2"]), tmp_path, "top5")
    text = written[2].read_text()
    assert text.count("\\midrule") == 2
    assert r"m\_1 & fp32" in text
    assert "Top-5 accuracy" in text
    assert not math.isnan(summary(make_rows(), "top5")["clean"].iloc[0])


def test_nothing_to_tabulate_is_refused(make_rows: Make, tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="no rows"):
        write_tables(make_rows().iloc[:0], tmp_path)


def test_the_fault_free_trial_alone_makes_a_table(make_rows: Make, tmp_path: Path) -> None:
    write_tables(make_rows(bers=(0.0,)), tmp_path)
    assert "92.00" in (tmp_path / "summary_top1.md").read_text()
