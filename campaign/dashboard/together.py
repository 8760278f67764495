"""One curve for all trainings of a method, as the report has it, kept while its rows stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from campaign.analysis.over_trainings import points_over_trainings, unsaid
from campaign.analysis.statistics import IntervalName
from campaign.dashboard.rows import JOIN, Snapshot
from campaign.dashboard.setups import SetupCurve, as_frame, with_classes


@dataclass
class Together:
    """Makes one curve of those that differ in the seed of a training alone.

    Args:
        interval: How intervals of curves with one training are made.
    """

    interval: IntervalName
    _held: dict[str, SetupCurve] = field(default_factory=dict)

    def of(self, snapshot: Snapshot, curves: Sequence[SetupCurve]) -> tuple[SetupCurve, ...]:
        """The curves to be drawn; `setup_id` of one over trainings names all of its setups.

        Estimates from samples of images keep a curve for each training, as in the report.
        """
        if any("estimated" in curve.points for curve in curves):
            return tuple(curves)
        groups: dict[tuple[object, ...], list[SetupCurve]] = {}
        for curve in curves:
            groups.setdefault(_network(curve), []).append(curve)
        shown = [self._one(snapshot, group) for group in groups.values()]
        self._held = {curve.setup_id: curve for curve in shown if JOIN in curve.setup_id}
        return tuple(shown)

    def _one(self, snapshot: Snapshot, group: list[SetupCurve]) -> SetupCurve:
        if len(group) == 1:
            return group[0]
        name = JOIN.join(curve.setup_id for curve in group)
        newest = max(curve.newest for curve in group)
        mark = (sum(c.mark[0] for c in group), sum(c.mark[1] for c in group), newest)
        held = self._held.get(name)
        if held is not None and held.mark == mark:
            return held
        frames = [as_frame(snapshot.setup(curve.setup_id), curve.keys) for curve in group]
        trials = pd.concat(frames, ignore_index=True)
        points = pd.concat([curve.points for curve in group], ignore_index=True)
        points = points_over_trainings(trials, points, self.interval)
        points = with_classes(points, unsaid(trials))
        return SetupCurve(name, {**group[0].keys, "train_seed": None}, mark, points, newest)


def _network(curve: SetupCurve) -> tuple[object, ...]:
    """What curves of several trainings share; a curve without a training is alone."""
    trained = curve.keys["train_seed"] is not None
    shared = tuple(str(value) for key, value in curve.keys.items() if key != "train_seed")
    return (*shared, "" if trained else curve.setup_id)
