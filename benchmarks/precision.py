"""How well fixed-width intervals cover the truth, and what they cost, on the digits network.

uv run python benchmarks/precision.py pool /some/folder/digits.npz
uv run python benchmarks/precision.py simulate /some/folder/digits.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from campaign.analysis.cell import CellHistory, FlipChances
from campaign.analysis.sequential import Done, Precision, next_round
from campaign.analysis.statistics import mean_interval
from campaign.faults import FAULTS
from campaign.faults.subject import Flips
from campaign.formats import FORMATS
from campaign.sources import DATASETS, MODELS
from campaign.spec.grid import Setup, Targets
from campaign.trial.evaluate import TestSet
from campaign.trial.memory import choose
from campaign.trial.setup import Network, prepare
from campaign.trial.subject import StoredSubject

BERS = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
WORD, WORST = 32, 30


def digits_setup() -> Setup:
    """The weights of the digits network as fp32, unprotected."""
    model, data, fault = MODELS.make("digits_cnn"), DATASETS.make("digits"), FAULTS.make("bit_flip")
    fmt = FORMATS.make("fp32")
    names = {"campaign": "precision", "model_name": "digits_cnn", "dataset_name": "digits"}
    return Setup(
        setup_id="precision",
        model=model,
        dataset=data,
        dtype=fmt,
        stack=(),
        t=None,
        nonfinite="propagate",
        fault_name=fault.label,
        fault=fault,
        targets=Targets(),
        **names,
    )


def counts(flips: Flips) -> tuple[int, int]:
    """Flips in all, and in the most significant bit of the exponent."""
    found = np.concatenate([*flips.values(), np.empty(0, np.int64)])
    return len(found), int((found % WORD == WORST).sum())


def make_pool(path: Path, maps: int) -> None:
    """Which images are right, under many fault maps at each BER, and without faults."""
    setup = digits_setup()
    device = torch.device("cpu")
    torch.set_num_threads(1)
    network = Network.load(setup.model.build(), setup.model.state(), device)
    how = setup.model.preprocess
    data = TestSet.load(setup.dataset.images(how), how, chosen=None, batch_size=600, device=device)
    ready = prepare(setup, network, data)
    subject = StoredSubject(ready.forward, ready.stored, ready.storage, data)
    logits = ready.fault_free.double()
    own = logits.gather(1, data.labels[:, None])[:, 0]
    others = logits.scatter(1, data.labels[:, None], -torch.inf).amax(1)
    right = np.zeros((len(BERS), maps, len(data)), dtype=bool)
    flips = np.zeros((len(BERS), maps, 2), dtype=np.int64)
    for place, ber in enumerate(BERS):
        for seed in range(maps):
            chosen = choose(ready.stored.values(), setup.fault, ready.storage, ber=ber, seed=seed)
            flips[place, seed] = counts(chosen)
            answers = subject.logits(chosen)
            finite = answers.isfinite().all(1)
            best = answers.nan_to_num(nan=-torch.inf).argmax(1)
            right[place, seed] = ((best == data.labels) & finite).numpy()
        print(f"{ber:g}: mean accuracy {right[place].mean():.4f}", flush=True)
    np.savez_compressed(path, right=right, flips=flips, margin=(own - others).numpy())


class Cell(NamedTuple):
    """All maps of a pool at one BER, as a population of which everything is known."""

    ber: float
    right: npt.NDArray[np.bool_]
    """(maps, images), images by fault-free margin."""
    fault_free: npt.NDArray[np.bool_]
    """(images,)."""
    flips: npt.NDArray[np.int64]
    """(maps, 2): in all, and in the worst class."""

    @property
    def truth(self) -> float:
        return float(self.right.mean())

    @property
    def chances(self) -> FlipChances:
        """Those of drawing a map of the pool."""
        worst = np.bincount(self.flips[:, 1]) / len(self.flips)
        return FlipChances(float((self.flips[:, 0] == 0).mean()), worst)

    def draw(self, random: np.random.Generator, maps: int, images: int) -> npt.NDArray[np.int64]:
        """Rows of random maps of the pool, each on a systematic sample of its own."""
        total = len(self.fault_free)
        chosen = random.integers(len(self.right), size=maps)
        start = random.random((maps, 1))
        places = ((np.arange(images) + start) * total / images).astype(np.int64)
        right, fault_free = self.right[chosen[:, None], places], self.fault_free[places]
        improved = (right & ~fault_free).sum(1)
        counted = [np.full(maps, images), right.sum(1), improved, fault_free.sum(1)]
        return np.stack([*counted, *self.flips[chosen].T])


def cells(path: Path) -> list[Cell]:
    """The cells of a pool."""
    held = np.load(path)
    order = np.argsort(held["margin"], kind="stable")
    fault_free = held["margin"][order] > 0
    right, flips = held["right"], held["flips"]
    return [Cell(b, right[i][:, order], fault_free, flips[i]) for i, b in enumerate(BERS)]


def replicate(cell: Cell, precision: Precision, replication: int) -> Done:
    """Estimate a cell from nothing."""
    random = np.random.default_rng([replication, round(1e9 * cell.ber)])
    rows = np.zeros((6, 0), dtype=np.int64)
    while True:
        size = len(cell.fault_free), int(cell.fault_free.sum())
        decision = next_round(CellHistory(*size, *rows, chances=cell.chances), precision)
        if isinstance(decision, Done):
            return decision
        drawn = cell.draw(random, decision.seeds, decision.images)
        rows = np.concatenate([rows, drawn], axis=1)


def full_set_maps(cell: Cell, precision: Precision) -> int:
    """How many maps, each on all images, give an interval as narrow: a fixed design."""
    values = np.random.default_rng(0).choice(cell.right.mean(1), size=20_000)
    few, many = 2, len(values)
    while many - few > 1:
        middle = (few + many) // 2
        bounds = mean_interval(values[None, :middle], level=precision.confidence)
        narrow = bounds.high[0] - bounds.low[0] <= 2 * precision.half_width
        few, many = (few, middle) if narrow else (middle, many)
    return many


def simulate(path: Path, precision: Precision, replications: int) -> None:
    """Print a line a cell: coverage, bias, and what it costs against full-set maps."""
    print("ber truth coverage bias bias/se seeds images fixed ratio stratified capped")
    spent, fixed = 0.0, 0.0
    for cell in cells(path):
        done = [replicate(cell, precision, place) for place in range(replications)]
        found = [each.estimate for each in done]
        covered = np.mean([each.low <= cell.truth <= each.high for each in found])
        accuracy = np.array([each.accuracy for each in found])
        bias = accuracy.mean() - cell.truth
        errors = bias / max(accuracy.std() / np.sqrt(replications), 1e-9)
        images = float(np.mean([each.images for each in found]))
        touched = full_set_maps(cell, precision) * (1 - cell.chances.untouched)
        full = touched * len(cell.fault_free)  # a map without a flip is not evaluated there either
        spent, fixed = spent + images, fixed + full
        print(
            f"{cell.ber:g} {cell.truth:.4f} {covered:.3f} {bias:+.5f} {errors:+.1f}",
            f"{np.mean([each.seeds for each in found]):.0f} {images:.0f} {full:.0f}",
            f"{full / images:.0f}",
            f"{np.mean([each.stratified for each in found]):.2f}",
            f"{np.mean([each.reason == 'max_seeds' for each in done]):.2f}",
            flush=True,
        )
    print(f"all cells: {spent:.3g} images against {fixed:.3g}, ratio {fixed / spent:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["pool", "simulate"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--maps", type=int, default=3000)
    parser.add_argument("--half-width", type=float, default=0.01)
    parser.add_argument("--replications", type=int, default=500)
    arguments = parser.parse_args()
    if arguments.what == "pool":
        make_pool(arguments.path, arguments.maps)
    else:
        precision = Precision(half_width=arguments.half_width, max_seeds=20_000)
        simulate(arguments.path, precision, arguments.replications)


if __name__ == "__main__":
    main()
