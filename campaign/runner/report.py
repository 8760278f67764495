"""Curves, tables and figures of rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.errors import SetupError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from campaign.analysis.rows import Metric
    from campaign.analysis.statistics import IntervalName


def make_report(
    folder: Path, metrics: Sequence[Metric], interval: IntervalName = "bounded"
) -> list[Path]:
    """Write tables/ and figures/ from all rows of a results folder.

    Args:
        folder: A results folder.
        metrics: Accuracies to show.
        interval: Interval of a mean; see `campaign.analysis.statistics.mean_interval`.

    Raises:
        SetupError: If there are no rows, or the files cannot be written.
    """
    from campaign.analysis.report import write_report
    from campaign.engines.stores.reader import read_results

    rows = read_results(folder).to_pandas()
    try:
        made = [write_report(rows, folder, metric, interval=interval).paths for metric in metrics]
    except OSError as error:
        where = error.filename or folder
        raise SetupError(f"{where}: cannot be written ({error.strerror})") from None
    return list(dict.fromkeys(path for paths in made for path in paths))


def curves_of(rows: pa.Table) -> pd.DataFrame:
    """One row for each curve and BER."""
    from campaign.analysis.curves import curves

    return curves(rows)


def told_curves(rows: pa.Table) -> pd.DataFrame:
    """The curves, each with the BER at which accuracy has dropped by 1 and by 5 points."""
    from campaign.analysis.rows import CURVE_KEYS
    from campaign.analysis.tolerance import tolerated_ber

    tolerated = tolerated_ber(rows)[[*CURVE_KEYS, "ber_at_1pt", "ber_at_5pt"]]
    return curves_of(rows).merge(tolerated, on=list(CURVE_KEYS), how="left")
