"""A trial that is judged on a sample of the images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from campaign.faults.images import map_images
from campaign.lazy import torch
from campaign.spec.grid import Point
from campaign.trial.evaluate import judge
from campaign.trial.known import Known
from campaign.trial.prefix import PrefixCache
from campaign.trial.run import Outcome, run_trial
from campaign.trial.setup import Prepared
from campaign.trial.worst import exposed_worst

if TYPE_CHECKING:
    from campaign.faults.subject import Flips


def run_sampled(prepared: Prepared, point: Point, drawn: Flips | None = None) -> Outcome:
    """Run the trial `point` on its images, and say what an estimate needs of it.

    Arguments are those of `run_trial`.

    Raises:
        ValueError: If there are not so many images.
    """
    judged = prepared
    if point.images is not None:
        judged = on_sample(prepared, point.seed, point.images)
    return run_trial(judged, point, drawn)._replace(
        n_fault_free=judged.counts.n_correct,
        exposed_worst=exposed_worst(prepared.stored.values(), prepared.storage),
    )


def on_sample(prepared: Prepared, seed: int, count: int) -> Prepared:
    """The setup with `count` of its images: those that `seed` draws, spread over the margins."""
    data, chosen = prepared.data, map_images(seed, prepared.by_margin, count)
    where = torch.from_numpy(chosen).to(data.labels.device)
    part = replace(data, pixels=data.pixels[where], labels=data.labels[where])
    fault_free = prepared.fault_free[where]
    counts = judge(fault_free, part.labels, fault_free)
    # What is kept is of other images.
    prefix = PrefixCache(prepared.forward, part, None, {}, fault_free)
    return replace(
        prepared,
        data=part,
        fault_free=fault_free,
        counts=counts,
        prefix=prefix,
        known=Known(),
    )
