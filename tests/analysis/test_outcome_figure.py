"""Outcome classes are drawn where they are known, as high as their shares."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from campaign.analysis.figures import SETTINGS
from campaign.analysis.order import Order
from campaign.analysis.outcome_figure import _figures, draw_blocks, draw_outcomes
from campaign.analysis.page.outcomes import CLASSES, outcomes
from campaign.analysis.rows import as_trials

Make = Callable[..., Any]


def test_bars_are_as_high_as_shares_and_files_are_the_same_bytes(
    make_rows: Make, tmp_path: Path
) -> None:
    rows = make_rows(dtypes=("fp32", "int8"), protections=[("none", None), ("saf", 2.0)], seeds=3)
    rows.loc[rows["dtype"] == "int8", "t"] *= 2  # one t in each format: blocks of one column
    counts = np.random.default_rng(0).multinomial(10_000, [0.4, 0.3, 0.2, 0.1], len(rows))
    rows[list(CLASSES.values())] = counts
    table = outcomes(as_trials(rows))
    (blocks,) = _figures(table[table["ber"] > 0], Order(dtypes=("int8", "fp32")))
    assert blocks.dtypes == ["int8", "fp32"]
    assert blocks.protections == [("none", None), ("saf", None)]
    with mpl.rc_context(SETTINGS):
        axes = draw_blocks(blocks).axes[0]
    for bars, (name, column) in zip(axes.collections, CLASSES.items(), strict=True):
        heights = [
            path.vertices[:, 1].max() - path.vertices[:, 1].min() for path in bars.get_paths()
        ]
        cells = rows[rows["ber"] > 0].groupby(["dtype", "method", "ber"])
        wanted = cells[column].sum() / cells["n_samples"].sum()
        assert np.allclose(sorted(heights), sorted(wanted), atol=1e-9), name
    first, second = (draw_outcomes(table, tmp_path / name) for name in "ab")
    assert [path.name for path in first] == [f"outcomes.{end}" for end in ("png", "svg", "pdf")]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert draw_outcomes(outcomes(as_trials(rows.assign(n_masked=None))), tmp_path / "c") == []
