"""All that is made of the rows of a campaign: tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from campaign.analysis.cost import costs
from campaign.analysis.cost_table import write_costs
from campaign.analysis.curves import curves
from campaign.analysis.figures import draw_points
from campaign.analysis.order import Order
from campaign.analysis.pareto_figure import draw_pareto
from campaign.analysis.rows import Metric, as_trials
from campaign.analysis.sequential import Precision
from campaign.analysis.statistics import IntervalName
from campaign.analysis.tables import write_points
from campaign.analysis.trainings import write_trainings


class Report(NamedTuple):
    """The files that were written."""

    tables: list[Path]
    figures: list[Path]

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [*self.tables, *self.figures]


def write_report(
    rows: object,
    folder: Path,
    metric: Metric = "top1",
    *,
    interval: IntervalName = "bounded",
    order: Order = Order(),  # noqa: B008 - immutable
    precision: Precision | None = None,
) -> Report:
    """Write ``tables/`` and ``figures/`` below a folder.

    Args:
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        folder: The results folder; made where it is missing.
        metric: ``top1`` or ``top5``.
        interval: How intervals of the mean are made; see `statistics.mean_interval`.
        order: In which order models and number formats stand in figures.
        precision: What decided how many trials there are; see `curves.curves`.

    Raises:
        CampaignError: If the rows cannot be analysed; see `rows.as_trials`.
    """
    trials = as_trials(rows)
    points = curves(trials, interval=interval, precision=precision)
    cost = costs(trials, metric)
    tables, figures = folder / "tables", folder / "figures"
    return Report(
        [
            *write_points(trials, points, tables, metric),
            *write_costs(cost, tables, metric),
            *write_trainings(points, tables, metric),
        ],
        [
            *draw_points(points, figures, metric, interval, order),
            *draw_pareto(cost, figures, metric, order),
        ],
    )
