"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.faults.streams import derived_seed
from campaign.lazy import torch
from campaign.methods.fitting import Batch, Context
from campaign.networks.sites import watched
from campaign.training.checkpoint import (
    Running,
    load_running,
    result_path,
    save,
    save_running,
    told_result,
)
from campaign.training.conditions import conditions
from campaign.training.data import TrainingData
from campaign.training.early import best_epoch, exhausted
from campaign.training.fittings import Fittings
from campaign.training.job import EpochMetrics, FitJob, FittedResult, Materials, Status, Trained
from campaign.training.rates import rate_factor
from campaign.training.recipe import Sgd

if TYPE_CHECKING:
    from torch import Tensor, nn

Report = Callable[[EpochMetrics], None]


def fit(
    job: FitJob,
    folder: Path,
    *,
    device: str = "cpu",
    threads: int = 1,
    report: Report | None = None,
    materials: Materials | None = None,
) -> FittedResult:
    """Train, or go on where an earlier call was killed; nothing is done where the result is there.

    The result is the same to the bit whether it was killed or not, for one device and number of
    threads on the CPU.

    Args:
        job: What to train.
        folder: Where the files of trainings are, see `campaign.training.checkpoint`.
        device: A torch device.
        threads: Of torch, on the CPU.
        report: Called after each epoch, when it is safe on disk; what it raises ends the training,
            which a later call takes up again.
        materials: What the sources of the job would give; None reads them.

    Raises:
        ValueError: If the network, the data and the methods do not fit each other.
        SetupError: If a file is missing, is damaged or belongs to another training.
    """
    if not result_path(folder, job).exists():
        materials = materials or read_materials(job)
        with conditions(threads):
            Training(job, materials, torch.device(device)).run(folder, report)
    return told_result(folder, job)


def read_materials(job: FitJob) -> Materials:
    """What the sources of a job give."""
    return Materials(job.model.state(), job.dataset.images(job.model.preprocess))


class Diverged(Exception):
    """A loss or a weight is no finite number."""


class Training:
    """A network in training.

    Args:
        job: What to train.
        materials: The network's weights and the images.
        device: Where.
    """

    def __init__(self, job: FitJob, materials: Materials, device: torch.device) -> None:
        self.job, self.recipe, self.device = job, job.recipe, device
        self.data = TrainingData(
            materials.images, job.model.preprocess, job.recipe, seed=job.seed, device=device
        )
        self.fittings = Fittings(job.methods)
        self.module = _network(job, materials, fresh=self.fittings.fresh).to(device)
        self.names = list(self.module.state_dict())
        self._refuse_other_classes()
        self.context = Context(
            seed=job.seed,
            fmt=job.fmt,
            device=device,
            steps=self.data.steps,
            forward=self._forward,
            sample=self.data.sample,
            generator=torch.Generator(),
            epochs=job.recipe.epochs,
        )
        self._seed("prepare")
        self.fittings.prepare(self.module, self.context)
        self.parameters = self.fittings.parameters(self.module)
        self.optimizer = self._optimizer()
        self.criterion = torch.nn.CrossEntropyLoss(label_smoothing=job.recipe.label_smoothing)
        self.metrics: tuple[EpochMetrics, ...] = ()
        self.best: dict[str, Tensor] | None = None

    def run(self, folder: Path, report: Report | None) -> None:
        """Train to the end and put the result into `folder`."""
        self._resume(load_running(folder, self.job))
        status: Status = "finished"
        kept = self._state()
        while len(self.metrics) < self.recipe.epochs:
            if exhausted(self.recipe.early_stop, self.metrics):
                status = "stopped"
                break
            try:
                metrics = self._epoch(len(self.metrics))
            except Diverged as error:
                status = "diverged"
                self.context.warnings.append(str(error))
                break
            kept = self._note(metrics)
            save_running(folder, self.job, self._running(kept))
            if report is not None:
                report(metrics)
        self._save(folder, status, kept)

    def _note(self, metrics: EpochMetrics) -> dict[str, Tensor]:
        """The state after an epoch, now also the best one where it is."""
        self.metrics = (*self.metrics, metrics)
        kept = self._state()
        stop = self.recipe.early_stop
        if stop is not None and best_epoch(stop, self.metrics) == len(self.metrics):
            self.best = kept
        return kept

    def _epoch(self, epoch: int) -> EpochMetrics:
        """Train for one epoch.

        Raises:
            Diverged: If a loss or a weight is no finite number.
        """
        started = time.perf_counter()
        self.context.epoch, self.context.metrics = epoch, {}
        self._seed("epoch", epoch)
        self.fittings.train_mode(self.module)
        losses = [
            self._step(epoch * self.data.steps + place, batch)
            for place, batch in enumerate(self.data.batches(epoch))
        ]
        self._refuse_nonfinite(epoch)
        loss, accuracy = self._validated()
        return EpochMetrics(
            epoch + 1,
            math.fsum(losses) / len(losses),
            self.optimizer.param_groups[0]["lr"],
            loss,
            accuracy,
            time.perf_counter() - started,
            dict(self.context.metrics),
        )

    def _step(self, step: int, batch: Batch) -> float:
        self.context.step = step
        rate = self.recipe.optimizer.lr * rate_factor(self.recipe, step, self.data.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        found = self.fittings.step(self.module, batch, self.criterion, self.context)
        loss = float(found.detach())
        if not math.isfinite(loss):
            raise Diverged(self._divergence("the loss", step // self.data.steps))
        if self.recipe.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.gradient_clip)
        self.optimizer.step()
        self.fittings.after_step(self.module, self.context)
        return loss

    def _forward(self, module: nn.Module, inputs: Tensor) -> Tensor:
        halved = torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.recipe.precision == "bf16"
        )
        with watched(module, self.fittings.visit), halved:
            logits: Tensor = module(inputs)
        return logits.to(torch.float32)

    def _validated(self) -> tuple[float | None, float | None]:
        """Mean cross entropy and accuracy of the images held out."""
        self.module.eval()
        count, right, total = 0, 0, 0.0
        with torch.no_grad():
            for batch in self.data.validation():
                logits = self._forward(self.module, batch.inputs)
                entropy = torch.nn.functional.cross_entropy
                total += float(entropy(logits, batch.labels, reduction="sum"))
                right += int((logits.argmax(1) == batch.labels).sum())
                count += len(batch.labels)
        return (total / count, right / count) if count else (None, None)

    def _refuse_nonfinite(self, epoch: int) -> None:
        for name, value in self.module.state_dict().items():
            if not bool(value.isfinite().all()):
                raise Diverged(self._divergence(name, epoch))

    def _divergence(self, what: str, epoch: int) -> str:
        kept = f"epoch {epoch} is kept" if epoch else "the network before training is kept"
        return (
            f"{what} became NaN or infinite in epoch {epoch + 1}, {kept}; lower the optimizer's lr "
            "or set gradient_clip"
        )

    def _refuse_other_classes(self) -> None:
        self.module.eval()
        with torch.no_grad():
            given = self.module(self.data.sample(1).inputs).shape[1]
        if self.data.classes > given:
            raise ValueError(
                f"the training set has labels up to {self.data.classes - 1}, the network answers "
                f"{given} classes"
            )

    def _optimizer(self) -> torch.optim.Optimizer:
        options = self.recipe.optimizer.model_dump(exclude={"kind"})
        if isinstance(self.recipe.optimizer, Sgd):
            return torch.optim.SGD(self.parameters, **options)
        adaptive = torch.optim.Adam if self.recipe.optimizer.kind == "adam" else torch.optim.AdamW
        return adaptive(self.parameters, **options)

    def _seed(self, *purpose: str | int) -> None:
        """What the network and its methods draw from here on."""
        torch.manual_seed(derived_seed(self.job.seed, "network", *purpose))
        self.context.generator.manual_seed(derived_seed(self.job.seed, "method", *purpose))

    def _state(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.module.state_dict().items()}

    def _running(self, network: dict[str, Tensor]) -> Running:
        memory = dict(self.context.memory)
        return Running(network, self.best, self.optimizer.state_dict(), memory, self.metrics)

    def _resume(self, running: Running | None) -> None:
        if running is None:
            return
        self.module.load_state_dict(running.network)
        self.optimizer.load_state_dict(running.optimizer)
        self.context.memory.update(running.memory)
        self.best, self.metrics = running.best, running.metrics

    def _save(self, folder: Path, status: Status, kept: dict[str, Tensor]) -> None:
        epochs, stop = len(self.metrics), self.recipe.early_stop
        if stop is not None and self.best is not None:
            epochs, kept = best_epoch(stop, self.metrics), self.best
        self.module.load_state_dict(kept)
        network, learnt = self.fittings.finish(self.module, self.context, self.names)
        warnings = tuple(self.context.warnings)
        save(folder, self.job, network, Trained({}, learnt, epochs, status, self.metrics, warnings))


def _network(job: FitJob, materials: Materials, *, fresh: bool) -> nn.Module:
    """The network to train, on the CPU; a fresh one is initialised by the seed of the job."""
    torch.manual_seed(derived_seed(job.seed, "network", "start"))
    module = job.model.build()
    if not fresh:
        module.load_state_dict({n: torch.tensor(value) for n, value in materials.state.items()})
    return module
