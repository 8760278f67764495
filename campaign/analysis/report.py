"""All that is made of the rows of a campaign: tables, figures and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from campaign.analysis.claim_table import write_claims
from campaign.analysis.claims_elsewhere import write_elsewhere
from campaign.analysis.cost_table import write_costs
from campaign.analysis.figures import draw_points
from campaign.analysis.order import Order
from campaign.analysis.outcome_figure import draw_outcomes
from campaign.analysis.page.section import Maker
from campaign.analysis.page.subject import Origin, gather, over_trainings, without_studies
from campaign.analysis.page.write import SECTIONS, write_page
from campaign.analysis.pareto_figure import draw_pareto
from campaign.analysis.rows import Metric, as_trials
from campaign.analysis.sensitivity_figure import draw_sensitivity
from campaign.analysis.sensitivity_table import write_sensitivity
from campaign.analysis.sequential import Precision
from campaign.analysis.statistics import IntervalName
from campaign.analysis.tables import write_points
from campaign.analysis.trainings import write_trainings


@dataclass(frozen=True)
class Report:
    """The files that were written."""

    tables: list[Path]
    figures: list[Path]
    page: Path

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [self.page, *self.tables, *self.figures]


def write_report(
    rows: object,
    folder: Path,
    metric: Metric = "top1",
    *,
    interval: IntervalName = "bounded",
    order: Order = Order(),  # noqa: B008 - immutable
    precision: Precision | None = None,
    origin: Origin = Origin(),  # noqa: B008 - immutable
    published: pd.DataFrame | None = None,
    elsewhere: pd.DataFrame | None = None,
) -> Report:
    """Write ``tables/``, ``figures/`` and the page that shows them into a folder.

    Args:
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        folder: The results folder; made where it is missing.
        metric: ``top1`` or ``top5``.
        interval: How intervals of the mean are made; see `statistics.mean_interval`.
        order: In which order models and number formats stand in figures.
        precision: What decided how many trials there are; see `curves.curves`.
        origin: What the results folder tells of the rows, for the page.
        published: Published numbers beside the rows; see `claims.claims`.
        elsewhere: Those without a row beside them; see `claims_elsewhere.claims_elsewhere`.

    Raises:
        CampaignError: If the rows cannot be analysed; see `rows.as_trials`.
    """
    return report_of(
        as_trials(rows),
        folder,
        metric,
        interval=interval,
        order=order,
        precision=precision,
        origin=origin,
        published=published,
        elsewhere=elsewhere,
    )


def report_of(
    trials: pd.DataFrame,
    folder: Path,
    metric: Metric,
    *,
    interval: IntervalName,
    order: Order,
    precision: Precision | None,
    origin: Origin,
    published: pd.DataFrame | None,
    elsewhere: pd.DataFrame | None,
    sections: Sequence[Maker] = SECTIONS,
) -> Report:
    """The same of what `rows.as_trials` gave; `sections` are those of the page."""
    made = gather(
        trials,
        metric,
        interval=interval,
        order=order,
        precision=precision,
        origin=origin,
        published=published,
        elsewhere=elsewhere,
    )
    shown = over_trainings(made)
    curves = without_studies(shown)
    tables = [
        *write_points(made.summary, made.points, folder / "tables", metric),
        *write_costs(made.cost, folder / "tables", metric),
        *write_trainings(made.points, trials, folder / "tables", metric),
        *([] if published is None else write_claims(published, folder / "tables")),
        *([] if elsewhere is None else write_elsewhere(elsewhere, folder / "tables")),
        *write_sensitivity(shown.studied, folder / "tables", metric),
    ]
    figures = [
        *draw_points(curves.points, folder / "figures", metric, interval, order),
        *draw_pareto(curves.cost, folder / "figures", metric, order),
        *draw_outcomes(curves.outcomes, folder / "figures", order),
        *draw_sensitivity(shown.studied, folder / "figures", metric),
    ]
    files = [path.relative_to(folder).as_posix() for path in [*tables, *figures]]
    page = write_page(replace(curves, files=files), folder, sections)
    return Report(tables, figures, page)
