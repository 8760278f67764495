"""Studies are found in rows alone, and their numbers are what pandas finds in the rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from campaign.analysis.curves import curves
from campaign.analysis.factors import exposure_of, fall_of
from campaign.analysis.figures import SETTINGS
from campaign.analysis.order import Order
from campaign.analysis.page.outcomes import outcomes
from campaign.analysis.page.subject import gather, without_studies
from campaign.analysis.page.write import write_page
from campaign.analysis.report import write_report
from campaign.analysis.rows import as_trials
from campaign.analysis.sensitivity import ALL_CLASSES, sensitivity
from campaign.analysis.sensitivity_figure import draw_groups
from campaign.faults import FAULTS
from campaign.spec.grid import Targets
from campaign.spec.variants import _fault_name

Make = Callable[..., Any]
BERS = (1e-3, 1e-2)
SEEDS = 7


def label(fault: str, options: dict[str, Any] | None = None, images: int | None = None) -> str:
    return _fault_name(FAULTS.make(fault, options or {}), images)


DOWN, UP = {"zero_to_one": 0.0}, {"one_to_zero": 0.0}
STUDIED: dict[str, dict[str, tuple[str, str]]] = {
    "bit": {
        "7 sign": ("bit_flip", Targets(only_bits=(7,)).label),
        "6 integer": ("bit_flip", Targets(only_bits=(6,)).label),
        "0 integer": ("bit_flip", Targets(only_bits=(0,)).label),
    },
    "layer": {
        "stem": ("bit_flip", Targets(include=("stem.*",)).label),
        "block.2": ("bit_flip", Targets(include=("block.2.*",)).label),
        "block.10": ("bit_flip", Targets(include=("block.10.*",)).label),
    },
    "kind": {
        "weights": ("bit_flip", "weights"),
        "biases": ("bit_flip", "biases"),
        "weights+biases": ("bit_flip", Targets(kinds=("weights", "biases")).label),
    },
    "direction": {
        "0 to 1": (label("asymmetric", UP), "weights"),
        "both alike": ("bit_flip", "weights"),
        "1 to 0": (label("asymmetric", DOWN), "weights"),
    },
    "burst": {
        "1": ("bit_flip", "weights"),
        "2": (label("burst"), "weights"),
        "16": (label("burst", {"length": 16}), "weights"),
    },
    "lifetime": {
        "persistent": ("bit_flip", "weights"),
        "50 images": (label("bit_flip", images=50), "weights"),
        "5 images": (label("bit_flip", images=5), "weights"),
    },
}
"""Study -> value -> (fault, targets), the values in their order."""
EXACT = label("exact_flips", {"count": 4})


@pytest.fixture(scope="module")
def rows(make_record: Make, to_frame: Make) -> pd.DataFrame:
    """Two number formats, each with every variant once; layers at equal counts too."""
    random, made = np.random.default_rng(3), []
    pairs = {pair for values in STUDIED.values() for pair in values.values()}
    pairs |= {(EXACT, targets) for _, targets in STUDIED["layer"].values()}
    for dtype, (fault, targets), ber in product(
        ("int8", "int8(per=channel)"), sorted(pairs), (0.0, *BERS)
    ):
        for seed in range(SEEDS if ber else 1):
            masked, benign, sdc, due = (
                int(k) for k in random.multinomial(1000, [0.4, 0.3, 0.2, 0.1])
            )
            made.append(
                make_record(
                    dtype=dtype,
                    fault=fault,
                    targets=targets,
                    ber=ber,
                    seed=seed,
                    n_correct=900 if ber == 0 else int(random.integers(100, 900)),
                    n_masked=masked,
                    n_benign=benign,
                    n_sdc=sdc,
                    n_nonfinite=due,
                    n_sdc5=sdc // 2,
                    n_improved=benign // 7,
                    flipped_bits=int(random.integers(1, 50)),
                )
            )
    made.append(make_record(dtype="int8", ber=1e-3, seed=99, status="error", n_correct=None))
    return cast(pd.DataFrame, to_frame(made))


def studied_of(rows: pd.DataFrame, order: Order = Order()) -> pd.DataFrame:  # noqa: B008
    trials = as_trials(rows)
    return sensitivity(curves(rows), outcomes(trials, ALL_CLASSES), "top1", order)


def test_every_number_of_a_study_is_that_of_its_rows(rows: pd.DataFrame) -> None:
    studied = studied_of(rows)
    groups = studied.groupby("group")
    assert (groups["study"].nunique() == 1).all()
    assert groups.ngroups == 2 * 7  # two formats; layers at equal rates and at equal counts
    wanted = {(name, value, *pair) for name, of in STUDIED.items() for value, pair in of.items()}
    wanted |= {("layer", value, EXACT, targets) for value, (_, targets) in STUDIED["layer"].items()}
    found = studied[["study", "value", "fault", "targets"]].drop_duplicates()
    assert set(found.itertuples(index=False, name=None)) == wanted
    assert len(studied) == 2 * len(BERS) * len(wanted)
    for row in studied.to_dict("records"):
        same = (rows["dtype"] == row["dtype"]) & (rows["fault"] == row["fault"])
        cell = rows[same & (rows["targets"] == row["targets"]) & (rows["ber"] == row["ber"])]
        cell = cell[cell["status"] == "ok"]
        share = (cell["n_correct"] / cell["n_samples"]).astype(float)
        assert row["n_trials"] == len(cell) == SEEDS
        assert row["drop"] == pytest.approx(0.9 - share.mean())
        assert row["drop_low"] <= row["drop"] <= row["drop_high"]
        assert row["drop_high"] - row["drop_low"] == pytest.approx(row["high"] - row["low"])
        assert row["flipped_bits_mean"] == pytest.approx(cell["flipped_bits"].astype(float).mean())
        for name, column in ALL_CLASSES.items():
            expected = cell[column].astype(float).sum() / cell["n_samples"].astype(float).sum()
            assert row[name] == pytest.approx(expected), name


def test_values_stand_in_their_order_and_layers_in_that_of_the_spec(rows: pd.DataFrame) -> None:
    def order_of(studied: pd.DataFrame, study: str) -> list[str]:
        part = studied[studied["study"] == study].sort_values("place", kind="stable")
        return list(dict.fromkeys(part["value"]))

    listed = [targets for _, targets in STUDIED["layer"].values()]
    studied = studied_of(rows, Order(targets=tuple(listed)))
    for study, values in STUDIED.items():
        assert order_of(studied, study) == list(values), study
    assert order_of(studied_of(rows), "layer") == ["block.2", "block.10", "stem"]


def test_rows_of_one_variant_are_no_study(rows: pd.DataFrame) -> None:
    one = rows[(rows["fault"] == "bit_flip") & (rows["targets"] == "weights; bits only: 7")]
    assert studied_of(one).empty
    apart = one.assign(targets=np.where(one["dtype"] == "int8", "weights", "biases"))
    assert studied_of(apart.assign(setup_id=apart["dtype"])).empty


@pytest.mark.parametrize(
    "targets",
    [
        Targets(),
        Targets(kinds=("weights", "norms"), activations=True),
        Targets(include=("a.*", "b?"), exclude=("c",), exempt_bits=(3, "sign"), only_bits=("msb",)),
    ],
)
def test_labels_are_taken_apart_as_they_are_made(targets: Targets) -> None:
    found = exposure_of(targets.label)
    kinds = [*targets.kinds, *(["activations"] if targets.activations else [])]
    assert found.kinds.split("+") == kinds
    for part, values in zip(
        found[1:],
        (targets.include, targets.exclude, targets.exempt_bits, targets.only_bits),
        strict=True,
    ):
        assert part == ",".join(map(str, values))
    fall = fall_of(label("burst", {"length": 4, "row_bits": 64}, 100))
    assert (fall.name, fall.options, fall.images) == (
        "burst", {"length": "4", "row_bits": "64"}, 100
    )  # fmt: skip


def test_a_report_shows_studies_apart_from_curves(rows: pd.DataFrame, tmp_path: Path) -> None:
    rows = rows[rows["dtype"] == "int8"]
    made = write_report(rows, tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in made.paths}
    for study in STUDIED:
        assert f"tables/sensitivity_{study}_top1.csv" in names
        assert any(name.startswith(f"figures/sensitivity_{study}_top1") for name in names)
    assert {n for n in names if "/accuracy" in n and n.endswith(".png")} == {
        "figures/accuracy_top1.png"
    }
    csv = pd.read_csv(tmp_path / "tables" / "sensitivity_kind_top1.csv")
    studied = studied_of(rows)
    kinds = studied[studied["study"] == "kind"]
    assert np.allclose(csv["drop"], kinds["drop"])
    assert "weights+biases" in (tmp_path / "tables" / "sensitivity_kind_top1.tex").read_text()
    assert (
        len(pd.read_csv(tmp_path / "tables" / "points.csv"))
        == rows.groupby(["dtype", "fault", "targets", "ber"]).ngroups
    )  # all of them
    text = made.page.read_text("utf-8")
    assert '<section id="sensitivity"' in text
    points = re.findall(r'<g class="drop"><title>(.*?)</title>', text)
    assert len(points) == len(studied)
    row = kinds.iloc[0]
    assert f"{100 * row['drop']:.2f} points [" in points[list(studied.index).index(row.name)]


def test_curves_keep_the_variant_that_all_studies_vary(rows: pd.DataFrame, tmp_path: Path) -> None:
    subject = gather(as_trials(rows))
    kept = without_studies(subject)
    assert set(zip(kept.points["fault"], kept.points["targets"], strict=True)) == {
        ("bit_flip", "weights")
    }
    assert len(kept.summary) == len(kept.cost) == 2
    assert len(kept.outcomes) == len(kept.points) == 2 * 3
    plain = gather(as_trials(rows[(rows["fault"] == "bit_flip") & (rows["targets"] == "weights")]))
    assert without_studies(plain) is plain
    assert "sensitivity" not in write_page(replace(plain, studied=None), tmp_path).read_text()


def test_points_are_drawn_where_the_drop_is(rows: pd.DataFrame) -> None:
    studied = studied_of(rows)
    part = studied[(studied["study"] == "bit") & (studied["dtype"] == "int8")]
    with mpl.rc_context(SETTINGS):
        (axes,) = draw_groups(part, "top1").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == list(STUDIED["bit"])
    drawn = sorted(
        float(x) for bars in axes.containers for x in np.ravel(cast(Any, bars).lines[0].get_xdata())
    )
    assert np.allclose(drawn, sorted(100 * part["drop"]))
    widths = sorted(
        float(np.ptp(segment[:, 0]))
        for bars in axes.containers
        for segment in cast(Any, bars).lines[2][0].get_segments()
    )
    assert np.allclose(widths, sorted(100 * (part["drop_high"] - part["drop_low"])))
