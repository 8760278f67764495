"""What commands print of trainings."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from campaign.runner.result import TrainResult
    from campaign.runner.training_log import TrainingStatus
    from campaign.runner.training_plan import TrainingPlan


def planned(trainings: Sequence[TrainingPlan]) -> Table:
    """One line a training, with what it will cost."""
    table = Table(box=None, pad_edge=False)
    for column in ("training", "recipe", "epochs", "images", "about", "setups", "workers", ""):
        table.add_column(column, justify="left" if column in ("training", "recipe") else "right")
    for row in trainings:
        images = "?" if row.images is None else f"{row.images:,}"
        time = "?" if row.seconds is None else f"{row.seconds:.3g} s"
        cost = ("-", "-") if row.state == "done" else (images, time)
        counts = (str(row.epochs), *cost, str(row.setups), str(row.workers), row.state)
        table.add_row(row.label, row.recipe or "in place", *counts)
    return table


def plan_sum(trainings: Sequence[TrainingPlan]) -> str:
    """All trainings in a line."""
    left = [row for row in trainings if row.state != "done"]
    images = sum(row.images or 0 for row in left)
    at_least = "at least " * any(row.images is None for row in left)
    done = len(trainings) - len(left)
    cost = f"{at_least}{images:,} images to train on"
    return f"{len(trainings)} trainings, {done} of them done; {cost}"


def told(trainings: Sequence[TrainingStatus]) -> list[str]:
    """One line for each training of a results folder."""
    lines = []
    for row in trainings:
        loss = "" if row.loss is None else f", loss {row.loss:.4g}"
        judged = row.validation_accuracy
        validation = "" if judged is None else f", validation {judged:.1%}"
        epoch = f", epoch {row.epoch} of {row.epochs}" if row.epoch else ""
        error = f": {row.error}" if row.error else ""
        lines.append(f"training {row.label}: {row.state}{epoch}{loss}{validation}{error}")
    return lines


def show_trained(result: TrainResult, *, as_json: bool) -> None:
    """How many have ended, what failed, and how to go on."""
    if as_json:
        plain = {**dataclasses.asdict(result), "exit_code": result.exit_code}
        plain |= {"results": str(result.results), "checkpoints": str(result.checkpoints)}
        print(json.dumps({"event": "done", **plain}))
        return
    if not result.total:
        print("no method of the grid trains its network: there is nothing to train")
        return
    ended = result.cached + result.trained
    now = f"{result.trained} now, {result.seconds:.1f} s"
    print(f"{ended} of {result.total} trainings done ({now})")
    for label, error in result.failures.items():
        print(f"failed: {label}: {error}")
    if ended < result.total:
        print(f"go on with: {shlex.join(['campaign', *sys.argv[1:]])}")
    print(f"networks: {result.checkpoints}")
