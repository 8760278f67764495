"""A results folder as an object, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from campaign.errors import SetupError, SpecError
from campaign.runner.compare import Asked, compare_folders
from campaign.runner.history import CampaignStatus, spec_of, status_of
from campaign.runner.precision import precision_in
from campaign.spec.campaign import CampaignSpec

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure

    from campaign.analysis.comparison import Comparison
    from campaign.analysis.rows import Metric
    from campaign.analysis.statistics import IntervalName


class Results:
    """What a campaign has given so far.

    Every call reads the folder anew, so that a running campaign is seen as it grows; nothing is
    written and no lock is taken.

    Args:
        folder: A results folder, such as ``results/quickstart``.

    Raises:
        SetupError: If the folder holds no results.

    Example:
        >>> import campaign
        >>> r = campaign.load("results/reference/cifar10_resnet20")
        >>> r
        <cifar10_resnet20: complete, 884 of 884 trials>
        >>> r.table().loc[0, ["method", "clean"]].to_dict()
        {'method': 'none', 'clean': 0.918}
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not any((self.folder / "trials").glob("*.parquet")):
            if not (self.folder / "journal.db").is_file():
                raise SetupError(f"no results in {folder}: run `campaign run SPEC` first")

    @property
    def spec(self) -> CampaignSpec:
        """The spec of the last run.

        Raises:
            SetupError: If the folder has none.
        """
        return spec_of(self.folder)

    @property
    def status(self) -> CampaignStatus:
        """How far each setup is, and what failed.

        Raises:
            SetupError: If the folder has no spec.
        """
        return status_of(self.folder)

    @overload
    def trials(self, *, arrow: Literal[False] = False) -> pd.DataFrame: ...
    @overload
    def trials(self, *, arrow: Literal[True]) -> pa.Table: ...
    def trials(self, *, arrow: bool = False) -> pd.DataFrame | pa.Table:
        """One row a trial, in the columns of `campaign.records`; by `arrow` a pyarrow Table."""
        from campaign.engines.stores.reader import read_results

        table = read_results(self.folder)
        return table if arrow else table.to_pandas()

    def curves(self, interval: IntervalName = "bounded") -> pd.DataFrame:
        """One row for each curve and BER, with intervals; see `campaign.analysis.curves.curves`."""
        from campaign.analysis.curves import curves

        return curves(self.trials(), interval=interval, precision=precision_in(self.folder))

    def table(self, metric: Metric = "top1") -> pd.DataFrame:
        """One row a curve: clean accuracy, means, tolerated BER with intervals, overhead.

        See `campaign.analysis.tables.summary` for the columns.
        """
        from campaign.analysis.tables import summary

        return summary(self.trials(), metric, points=self.curves())

    def plot(
        self,
        metric: Metric = "top1",
        *,
        interval: IntervalName = "bounded",
        variant: str | None = None,
    ) -> Figure:
        """Accuracy over BER, as `campaign report` draws it; a notebook shows what is returned.

        Args:
            metric: ``top1`` or ``top5``.
            interval: How bands are made.
            variant: Which figure, where datasets, fault models, targets or policies have figures
                of their own.

        Raises:
            SpecError: If there are several figures and `variant` names none of them, or there is
                no BER above 0.
        """
        from campaign.analysis.figures import figures_of
        from campaign.analysis.over_trainings import points_over_trainings, trained_often
        from campaign.analysis.rows import as_trials
        from campaign.runner.report import order_of

        trials, points = as_trials(self.trials()), self.curves(interval)
        if "estimated" not in points and trained_often(trials).any():
            points = points_over_trainings(trials, points, interval)
        made = figures_of(points, metric, interval, order_of(self.folder))
        if not made:
            raise SpecError(f"{self.folder}: no trial at a BER above 0, so no curve to plot")
        if variant is None and len(made) == 1:
            return next(iter(made.values()))
        if variant not in made:
            raise SpecError(f"plot: got variant {variant!r}; allowed: {', '.join(sorted(made))}")
        return made[variant]

    def compare(
        self,
        other: Results | str | Path,
        *,
        across: Sequence[str] = (),
        metric: Metric = "top1",
        interval: IntervalName = "bootstrap",
        unpaired: bool = False,
    ) -> Comparison:
        """The accuracy of `other` less that of this campaign, cell by cell.

        On the same faults where they are; see `campaign.analysis.comparison.compare`.

        Raises:
            SpecError: If the two were judged on other images, and not `unpaired`.
        """
        folder = other.folder if isinstance(other, Results) else Path(other)
        asked = Asked(tuple(across), None, metric, interval, unpaired)
        return compare_folders([self.folder, folder], asked)[0]

    def against(
        self, method: str, *, metric: Metric = "top1", interval: IntervalName = "bootstrap"
    ) -> list[Comparison]:
        """Every other method of this campaign less `method`, on the same faults.

        Raises:
            SpecError: If the method is not there, is alone, or stands for several values of t.
        """
        return compare_folders([self.folder], Asked((), method, metric, interval))

    def __repr__(self) -> str:
        return f"<{self._told()}>"

    def _repr_html_(self) -> str:
        from campaign.analysis.page.section import escape, grid
        from campaign.analysis.tables import for_people

        name = self._told()
        return f"<p>{escape(name)}</p>{grid(for_people(self.table(), 'top1'), name=name)}"

    def _told(self) -> str:
        """Name and progress, as far as the folder tells."""
        try:
            status = self.status
        except SetupError:
            return f"{self.folder}: {self.trials(arrow=True).num_rows} trials"
        return f"{status.name}: {status.state}, {status.ok} of {status.total} trials"
