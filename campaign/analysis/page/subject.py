"""All that the sections of a page are made of; no text yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from campaign.analysis.cost import costs_of
from campaign.analysis.curves import curves_of
from campaign.analysis.order import Order
from campaign.analysis.over_trainings import (
    mean_trials,
    points_over_trainings,
    trained_often,
    unsaid,
)
from campaign.analysis.page.outcomes import CLASSES, outcomes
from campaign.analysis.rows import METRIC_NAMES, POINT_KEYS, Metric
from campaign.analysis.sensitivity import ALL_CLASSES, in_curves, sensitivity
from campaign.analysis.sequential import Precision
from campaign.analysis.statistics import IntervalName
from campaign.analysis.tables import summary_of
from campaign.analysis.tolerance import tolerance_of


@dataclass(frozen=True)
class Origin:
    """Where rows come from, as the results folder tells it; all of it may be missing.

    Args:
        name: Of the campaign.
        description: As its author wrote it.
        spec_text: The spec as written.
        resolved: The spec as understood, with defaults.
        sessions: One entry for each run: versions, hosts, digests, times.
    """

    name: str = ""
    description: str = ""
    spec_text: str = ""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    sessions: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Subject:
    """A campaign as its page shows it.

    Args:
        trials: What `rows.as_trials` gives.
        points: What `curves.curves` gives for them.
        summary: What `tables.summary` gives.
        cost: What `cost.costs` gives.
        outcomes: What `outcomes.outcomes` gives, row by row beside `points`.
        metric: The accuracy that is shown.
        interval: How intervals of means were made.
        order: In which order models and number formats stand.
        precision: What decided how many trials there are.
        origin: Where the rows come from.
        published: What `claims.claims` gives; None where nothing was compared.
        elsewhere: What `claims_elsewhere.claims_elsewhere` gives.
        studied: What `sensitivity.sensitivity` gives; of its points, only one variant of fault and
            target is in the other tables of a page, see `without_studies`.
        files: Tables and figures, as paths from the page.
    """

    trials: pd.DataFrame
    points: pd.DataFrame
    summary: pd.DataFrame
    cost: pd.DataFrame
    outcomes: pd.DataFrame
    metric: Metric = "top1"
    interval: IntervalName = "bounded"
    order: Order = Order()  # noqa: RUF009 - immutable
    precision: Precision | None = None
    origin: Origin = Origin()
    published: pd.DataFrame | None = None
    elsewhere: pd.DataFrame | None = None
    studied: pd.DataFrame | None = None
    files: Sequence[str] = ()

    @property
    def estimated(self) -> bool:
        """Whether fault maps were judged on samples of the images."""
        return "estimated" in self.points

    @property
    def trainings(self) -> int:
        """Over how many trainings the means of its curves go, at most."""
        known = self.points.get("n_trainings")
        return 1 if known is None else int(known.max())

    @property
    def metric_name(self) -> str:
        """The accuracy in words."""
        return METRIC_NAMES[self.metric]


def gather(
    trials: pd.DataFrame,
    metric: Metric = "top1",
    *,
    interval: IntervalName = "bounded",
    order: Order = Order(),  # noqa: B008 - immutable
    precision: Precision | None = None,
    origin: Origin = Origin(),
    published: pd.DataFrame | None = None,
    elsewhere: pd.DataFrame | None = None,
) -> Subject:
    """All that a page says of what `rows.as_trials` gave, files apart; see `Subject`."""
    points = curves_of(trials, interval, precision)
    classes = outcomes(trials, ALL_CLASSES)
    found = tolerance_of(trials, metric=metric)
    return Subject(
        trials=trials,
        points=points,
        summary=summary_of(points, found, metric),
        cost=costs_of(trials, found, metric),
        outcomes=classes[[*POINT_KEYS, *CLASSES]],
        metric=metric,
        interval=interval,
        order=order,
        precision=precision,
        origin=origin,
        published=published,
        elsewhere=elsewhere,
        studied=sensitivity(points, classes, metric, order),
    )


def over_trainings(subject: Subject) -> Subject:
    """The subject with one curve for all trainings of a method; rows stay as they are.

    Estimates from samples of images keep a curve for each training.
    """
    trials = subject.trials
    if subject.estimated or not trained_often(trials).any():
        return subject
    points = points_over_trainings(trials, subject.points, subject.interval)
    averaged, classes = mean_trials(trials), outcomes(unsaid(trials), ALL_CLASSES)
    found = tolerance_of(averaged, metric=subject.metric)
    return replace(
        subject,
        points=points,
        summary=summary_of(points, found, subject.metric),
        cost=costs_of(averaged, found, subject.metric),
        outcomes=classes[[*POINT_KEYS, *CLASSES]],
        studied=sensitivity(points, classes, subject.metric, subject.order),
    )


def without_studies(subject: Subject) -> Subject:
    """The subject with the curves that are no part of a study, and one that all others vary."""
    studied = subject.studied
    if studied is None or studied.empty:
        return subject

    def kept(table: pd.DataFrame) -> pd.DataFrame:
        return table[in_curves(table, studied).to_numpy()].reset_index(drop=True)

    return replace(
        subject,
        points=kept(subject.points),
        summary=kept(subject.summary),
        cost=kept(subject.cost),
        outcomes=kept(subject.outcomes),
    )
