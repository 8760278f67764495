"""What a campaign will cost, without running or reading anything heavy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from campaign.methods import Method
from campaign.spec.campaign import CampaignSpec
from campaign.spec.expand import SetupGrid, expand
from campaign.spec.exposure import Exempt
from campaign.spec.grid import Setup

if TYPE_CHECKING:
    from campaign.runner.training_plan import TrainingPlan

CPU_RATE = 25e9
"""Multiply-adds a second of one CPU thread, assumed where nothing was measured."""
GPU_RATE = 5e12
"""Multiply-adds a second of one GPU in float32, assumed where nothing was measured."""
ROW_BYTES = 120
"""A row in a sealed part, about."""


@dataclass(frozen=True)
class SetupPlan:
    """One setup as planned.

    Args:
        setup: The setup.
        trials: How many trials.
        struck: How many of them are at a BER above 0.
        bers: The BERs above 0, ascending.
        bits: Exposed bits, None where the architecture's size is not known or activations are
            exposed, whose number only a forward pass tells.
        bits_are_bound: `bits` is an upper bound, because name patterns select parameters or
            BatchNorm is folded into biases, some of which are there already.
        bits_are_about: `bits` is not exact, because stored scales are counted as if every block
            of weights were full; the tails of tensors are known once their shapes are.
        seconds: Time of one trial on one worker, None where nothing is known.
    """

    setup: Setup
    trials: int
    struck: int
    bers: tuple[float, ...]
    bits: int | None
    bits_are_bound: bool
    bits_are_about: bool
    seconds: float | None

    def expected_flips(self) -> list[tuple[float, float]]:
        """(BER, expected number of flipped bits), empty where the size is not known."""
        if (flips := self.setup.fault.flips) is not None:
            return [(ber, float(flips)) for ber in self.bers]
        return [] if self.bits is None else [(ber, ber * self.bits) for ber in self.bers]

    def samples(self) -> str:
        """How many single faults tell a share of them to 1 %, of how many, and those planned."""
        from campaign.analysis.sample_size import sample_size

        usual, strict = (sample_size(margin=0.01, confidence=level) for level in (0.95, 0.99))
        told = "at most " * self.bits_are_bound + "about " * self.bits_are_about
        faults = "" if self.bits is None else f" of {told}{self.bits:,}"
        return (
            f"a margin of 1 % takes {usual:,} single faults{faults} at 95 % confidence, "
            f"{strict:,} at 99 %; {self.struck:,} are planned"
        )


@dataclass(frozen=True)
class CampaignPlan:
    """What is to be done.

    Args:
        name: The campaign.
        setups: Every setup.
        done: Trials that have a result already.
        seconds: Of all trials on one worker, None where nothing is known.
        measured: Whether `seconds` comes from trials of the same results folder.
        half_width: The precision that is wanted, then trials and times are upper bounds; None where
            trials are counted.
        trainings: What is trained before its trials.
    """

    name: str
    setups: tuple[SetupPlan, ...]
    done: int
    seconds: float | None
    measured: bool
    half_width: float | None = None
    trainings: tuple[TrainingPlan, ...] = ()

    @property
    def trials(self) -> int:
        """All trials of the spec."""
        return sum(setup.trials for setup in self.setups)

    @property
    def bytes(self) -> int:
        """Size of the sealed rows, about."""
        return self.trials * ROW_BYTES

    def warnings(self) -> Iterator[str]:
        """What its author may not have meant."""
        quiet = [
            (plan.setup.label, ber, flips)
            for plan in self.setups
            for ber, flips in plan.expected_flips()
            if flips < 0.1
        ]
        if quiet:
            label, ber, flips = quiet[0]
            yield (
                f"{len(quiet)} points expect fewer than 0.1 flips, so most of their trials equal "
                f"the fault-free one (first: {label} at {ber:g}: {flips:.2g})"
            )
        yield from self._samples()
        unknown = [plan.setup for plan in self.setups if plan.bits is None]
        if any(setup.targets.activations for setup in unknown):
            yield "how many bits activations take, and so how many flip, is known once it runs"
        names = {setup.model_name for setup in unknown if not setup.targets.activations}
        if names:
            yield f"the size of {', '.join(sorted(names))} is known once its weights are read"

    def _samples(self) -> Iterator[str]:
        """How many single faults a statement about a share of them takes."""
        said: dict[str, list[str]] = {}
        for plan in self.setups:
            if plan.setup.fault.estimates_share:
                said.setdefault(plan.samples(), []).append(plan.setup.label)
        for text, labels in said.items():
            others = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
            yield f"{labels[0]}{others}: {text}"
        if said:
            yield (
                "a conclusion about a layer or a class of bits takes as many faults in it alone; "
                "seeds draw independently, so a small memory takes no fewer"
            )


def plan_campaign(
    spec: CampaignSpec, measured: Mapping[tuple[str, str, str], float], done: int
) -> CampaignPlan:
    """Count setups, trials, expected flips, time and size.

    Args:
        spec: The campaign.
        measured: Seconds of a trial by (model, dtype, method), from rows of its results folder.
        done: Trials that have a result already.
    """
    setups = tuple(_setup_plan(grid, spec, measured) for grid in expand(spec))
    times = [plan.seconds for plan in setups]
    total = sum(p.trials * p.seconds for p in setups if p.seconds is not None)
    seconds = None if None in times else total
    wanted = None if spec.precision is None else spec.precision.half_width
    return CampaignPlan(spec.name, setups, done, seconds, bool(measured), wanted)


def _setup_plan(
    grid: SetupGrid, spec: CampaignSpec, measured: Mapping[tuple[str, str, str], float]
) -> SetupPlan:
    setup = grid.setup
    return SetupPlan(
        setup,
        grid.n_trials,
        sum(len(cell.seeds) for cell in grid.cells if cell.ber > 0),
        tuple(cell.ber for cell in grid.cells if cell.ber > 0),
        _exposed_bits(setup),
        _is_bound(setup),
        _scales_are_hit(setup),
        measured.get((setup.model_name, setup.dtype.label, setup.method)) or _assumed(setup, spec),
    )


def _is_bound(setup: Setup) -> bool:
    targets = setup.targets
    folded = setup.fold_batchnorm and not {"biases", "norms"}.isdisjoint(targets.kinds)
    return bool(targets.include or targets.exclude) or folded


def _exposed_bits(setup: Setup) -> int | None:
    """Payload, check and scale bits that a fault may hit, as if of one tensor: tails aside."""
    counts, targets, width = setup.model.parameter_counts(), setup.targets, setup.dtype.width
    if counts is None or targets.activations:
        return None
    words = sum(counts.get(kind, 0) for kind in targets.kinds)
    if setup.fold_batchnorm and "biases" in targets.kinds and "norms" not in targets.kinds:
        words += counts.get("norms", 0) // 2  # at most one bias for scale and shift of a channel
    exempt = _exempt(setup)
    bound = [method.bind(setup.dtype) for method in setup.stack]
    checks = sum(_check_bits(method, words, width, exempt) for method in bound)
    return words * (width - len(exempt.payload)) + checks + _scale_bits(setup, words)


def _exempt(setup: Setup) -> Exempt:
    return Exempt.of(setup.dtype, setup.targets.exempt_bits, setup.targets.only_bits)


def _check_bits(method: Method, words: int, width: int, exempt: Exempt) -> int:
    """Check bits of `words` payload words of `width` bits that a fault may hit."""
    total, copied = method.check_bits(words, width), method.copied_bits(width)
    if copied is None:
        return 0 if exempt.checks else total
    held = len(copied)
    return total // held * (held - len(exempt.of_check(held, copied)))


def _scale_bits(setup: Setup, words: int) -> int:
    """Bits of the stored scales of `words` weights in full blocks."""
    width, block = setup.dtype.scale_width, setup.dtype.scale_block
    if width is None or block is None or not _scales_are_hit(setup):
        return 0
    return -(-words // block) * width


def _scales_are_hit(setup: Setup) -> bool:
    return setup.dtype.scale_width is not None and not _exempt(setup).scales


def _assumed(setup: Setup, spec: CampaignSpec) -> float | None:
    """Multiply-adds over an assumed rate, with 2 ms for all else."""
    macs, images = setup.model.macs(), setup.subset or setup.dataset.size()
    if macs is None or images is None:
        return None
    on_gpu = spec.engine.gpus_per_worker not in ("auto", 0)
    rate = GPU_RATE if on_gpu else CPU_RATE * spec.engine.cpus_per_worker
    return 0.002 + macs * images / rate
