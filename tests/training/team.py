"""One of the processes of a team: ``python team.py RANK SIZE STORE FOLDER CASE``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch

from campaign.training import FitJob
from campaign.training.job import EpochMetrics, Materials
from campaign.training.loop import fit
from campaign.training.team import Team
from tests.training.conftest import few_images, make_job
from tests.training.normed import NORMED, resnet_job

PLAIN: dict[str, Any] = {"batch_size": 40, "optimizer": {"sgd": {"lr": 0.05}}}
STACKS: dict[str, list[Any]] = {
    "retrained": ["retrained"],
    "randbet": [{"randbet": {"p": 0.02, "w_max": 0.3, "threshold": 4.0}}],
    "fault_aware": [{"fault_aware": {"ber": [1e-3, 1e-2]}}],
    "fitact": ["fitact"],
}


class Broken(Exception):
    """Ends a training after its first epoch."""


def case(name: str, workers: int) -> tuple[FitJob, Materials | None]:
    """A training, and what it reads."""
    if name == NORMED:
        return resnet_job(workers)
    return make_job(*STACKS[name], dtype="int8", workers=workers, **PLAIN), few_images()


def end(metrics: EpochMetrics) -> None:
    raise Broken


if __name__ == "__main__":
    rank, size = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{sys.argv[3]}", rank=rank, world_size=size
    )
    job, materials = case(sys.argv[5].removesuffix("-broken"), size)
    broken = sys.argv[5].endswith("-broken")
    fit(job, Path(sys.argv[4]), materials=materials, team=Team(rank, size),
        report=end if broken else None)  # fmt: skip
    torch.distributed.destroy_process_group()
    # A thread of Gloo that still lets go of its last tensor while Python takes itself apart aborts
    # the process (pytorch issue 190489). All is written, so leave without that.
    os._exit(0)
