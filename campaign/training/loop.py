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
from campaign.training.start import network_of, optimizer_of, read_materials
from campaign.training.team import ALONE, Team

if TYPE_CHECKING:
    from torch import Tensor, nn

Report = Callable[[EpochMetrics], None]
Pause = Callable[[], None]


def fit(
    job: FitJob,
    folder: Path,
    *,
    device: str = "cpu",
    threads: int = 1,
    report: Report | None = None,
    pause: Pause | None = None,
    materials: Materials | None = None,
    team: Team = ALONE,
) -> FittedResult | None:
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
        pause: Called after each batch; what it raises ends the training too, and a later call does
            the epoch anew.
        materials: What the sources of the job would give; None reads them.
        team: The processes that train it together, of which each makes this call.

    Returns:
        What became of it; None on those of a team that do not lead.

    Raises:
        ValueError: If the network, the data and the methods do not fit each other.
        SetupError: If a file is missing, is damaged or belongs to another training.
    """
    if not team.told(result_path(folder, job).exists()):
        materials = materials or read_materials(job)
        with conditions(threads):
            Training(job, materials, torch.device(device), pause, team).run(folder, report)
    return told_result(folder, job) if team.leads else None


class Diverged(Exception):
    """A loss or a weight is no finite number."""


class Training:
    """A network in training.

    Args:
        job: What to train.
        materials: The network's weights and the images.
        device: Where.
        pause: Called after each batch.
        team: The processes that train it together.
    """

    def __init__(
        self,
        job: FitJob,
        materials: Materials,
        device: torch.device,
        pause: Pause | None = None,
        team: Team = ALONE,
    ) -> None:
        self.job, self.recipe, self.device, self.team = job, job.recipe, device, team
        self.pause = pause or (lambda: None)
        self.data = TrainingData(
            materials.images,
            job.model.preprocess,
            job.recipe,
            seed=job.seed,
            device=device,
            team=team,
        )
        self.fittings = Fittings(job.methods)
        self.module = network_of(job, materials, fresh=self.fittings.fresh).to(device)
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
            backward=self._backward,
        )
        self._seed("prepare")
        self.fittings.prepare(self.module, self.context)
        self.parameters = self.fittings.parameters(self.module)
        self.optimizer = optimizer_of(job.recipe, self.parameters)
        self.criterion = torch.nn.CrossEntropyLoss(label_smoothing=job.recipe.label_smoothing)
        self.metrics: tuple[EpochMetrics, ...] = ()
        self.best: dict[str, Tensor] | None = None

    def run(self, folder: Path, report: Report | None) -> None:
        """Train to the end and put the result into `folder`."""
        leads = self.team.leads
        self._resume(self.team.told(load_running(folder, self.job) if leads else None))
        self.team.aligned(self.module.state_dict().values())
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
            if leads:
                save_running(folder, self.job, self._running(kept))
            if leads and report is not None:
                report(metrics)
        if leads:
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
        self.pause()
        return loss

    def _forward(self, module: nn.Module, inputs: Tensor) -> Tensor:
        halved = torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.recipe.precision == "bf16"
        )
        with self.team.as_one(), watched(module, self.fittings.visit), halved:
            logits: Tensor = module(inputs)
        return logits.to(torch.float32)

    def _backward(self, loss: Tensor) -> Tensor:
        loss.backward()  # type: ignore[no-untyped-call]
        found = loss.detach().reshape(1)
        gradients = [each.grad for each in self.parameters if each.grad is not None]
        self.team.mean([found, *gradients])
        return found[0]

    def _validated(self) -> tuple[float | None, float | None]:
        """Mean cross entropy and accuracy of the images held out."""
        self.module.eval()
        found = torch.zeros(3, dtype=torch.float64)  # images, right answers, sum of losses
        with torch.no_grad():
            for batch in self.data.validation():
                logits = self._forward(self.module, batch.inputs)
                entropy = torch.nn.functional.cross_entropy
                found[0] += len(batch.labels)
                found[1] += int((logits.argmax(1) == batch.labels).sum())
                found[2] += float(entropy(logits, batch.labels, reduction="sum"))
                self.pause()
        count, right, total = self.team.summed(found.to(self.device)).tolist()
        return (total / count, right / count) if count else (None, None)

    def _refuse_nonfinite(self, epoch: int) -> None:
        for name, value in self.module.state_dict().items():
            if not bool(value.isfinite().all()):
                raise Diverged(self._divergence(name, epoch))

    def _divergence(self, what: str, epoch: int) -> str:
        kept = f"epoch {self._epoch_kept}" if epoch else "the network before training"
        return (
            f"{what} became NaN or infinite in epoch {epoch + 1}, {kept} is kept; lower the "
            "optimizer's lr or set gradient_clip"
        )

    @property
    def _epoch_kept(self) -> int:
        """The newest finished epoch, or the best one where training may stop early."""
        stop = self.recipe.early_stop
        return len(self.metrics) if stop is None else best_epoch(stop, self.metrics)

    def _refuse_other_classes(self) -> None:
        self.module.eval()
        with torch.no_grad():
            given = self.module(self.data.sample(1).inputs).shape[1]
        if self.data.classes > given:
            raise ValueError(
                f"the training set has labels up to {self.data.classes - 1}, the network answers "
                f"{given} classes"
            )

    def _seed(self, *purpose: str | int) -> None:
        """What the network and its methods draw from here on; methods draw alike in a team."""
        who = () if self.team.leads or "epoch" not in purpose else (self.team.rank,)
        torch.manual_seed(derived_seed(self.job.seed, "network", *purpose, *who))
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
        self.module.load_state_dict(kept if self.best is None else self.best)
        network, learnt = self.fittings.finish(self.module, self.context, self.names)
        warnings = tuple(self.context.warnings)
        trained = Trained({}, learnt, self._epoch_kept, status, self.metrics, warnings)
        save(folder, self.job, network, trained)
