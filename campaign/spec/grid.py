"""The grid of a campaign: setups, and the points of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from campaign.faults import FaultModel
from campaign.formats import NumberFormat
from campaign.methods import Method
from campaign.methods.base import stack_label
from campaign.sources import DatasetSource, ModelSource
from campaign.spec.trained import Training as Training
from campaign.text import t_text


@dataclass(frozen=True)
class Targets:
    """Which parameters, and whether activations, are in faultable memory.

    Args:
        kinds: Of ``weights``, ``biases``, ``norms``, ``other``.
        include: Name patterns (``fnmatch``) of which one must match; empty means all.
        exclude: Name patterns of which none may match.
        exempt_bits: What never flips: bit positions (0 = least significant) or classes of payload
            words and of their copies in check words, ``checks`` (all check words) or ``scale``
            (stored scales).
        only_bits: The same, outside of which nothing flips; empty means all.
        activations: Whether the outputs of layers are in faultable memory too, by the names of the
            modules that make them. Their faults are drawn for each inference, whatever the lifetime
            of those of parameters.
    """

    kinds: tuple[str, ...] = ("weights",)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exempt_bits: tuple[int | str, ...] = ()
    only_bits: tuple[int | str, ...] = ()
    activations: bool = False

    @property
    def label(self) -> str:
        """Such as ``weights+biases; only layer1.*; bits exempt: exponent_msb``."""
        parts = ["+".join([*self.kinds, *(["activations"] if self.activations else [])])]
        parts += [f"only {','.join(self.include)}"] if self.include else []
        parts += [f"not {','.join(self.exclude)}"] if self.exclude else []
        for told, bits in (("exempt", self.exempt_bits), ("only", self.only_bits)):
            parts += [f"bits {told}: {','.join(map(str, bits))}"] if bits else []
        return "; ".join(parts)

    def match(self, name: str, kind: str) -> bool:
        """Whether the parameter `name` of `kind` is exposed."""
        return kind in self.kinds and self._named(name)

    def match_layer(self, module: str) -> bool:
        """Whether the outputs of the layers that `module` calls are exposed."""
        return self.activations and self._named(module)

    def _named(self, name: str) -> bool:
        if any(fnmatchcase(name, pattern) for pattern in self.exclude):
            return False
        return not self.include or any(fnmatchcase(name, pattern) for pattern in self.include)


@dataclass(frozen=True)
class Profile:
    """Labelled images to learn from; trials are never judged on them.

    Args:
        images: How many.
        dataset_name: The dataset they are from, empty where they are held out of the test set.
        dataset: Where it comes from; None where they are held out of the test set.
    """

    images: int
    dataset_name: str = ""
    dataset: DatasetSource | None = None


@dataclass(frozen=True)
class Setup:
    """What is prepared once and then faulted many times; everything but BER and seed.

    Args:
        setup_id: Hash of all that decides a result; see `campaign.spec.identity`.
        campaign: Name of the campaign.
        model_name: The model in rows.
        model: Where the network comes from.
        dataset_name: The dataset in rows.
        dataset: Where the test set comes from.
        dtype: The number format.
        stack: Protections, left to right on the way in; `t` is set in them.
        t: Weight-scaling target, None where the stack takes none.
        nonfinite: ``propagate``, ``zero`` or ``clamp``.
        fault_name: The fault model in rows.
        fault: The fault model.
        targets: Which parameters are exposed.
        subset: How many images, by a fixed permutation; None is all.
        profile: The profile split, None where there is none.
        lifetime: After how many images the next fault map is drawn; None is never.
        fold_batchnorm: Whether BatchNorm is folded into the layers before it.
        compute: The arithmetic of the forward pass: ``fp32``, ``bf16``, ``fp16`` or ``tf32``.
        sampled: Whether each trial under faults is judged on a sample of images of its own.
        training: How the network is trained first; None where no method asks for it.
    """

    setup_id: str
    campaign: str
    model_name: str
    model: ModelSource
    dataset_name: str
    dataset: DatasetSource
    dtype: NumberFormat
    stack: tuple[Method, ...]
    t: float | None
    nonfinite: str
    fault_name: str
    fault: FaultModel
    targets: Targets
    subset: int | None = None
    profile: Profile | None = None
    lifetime: int | None = None
    fold_batchnorm: bool = False
    compute: str = "fp32"
    sampled: bool = False
    training: Training | None = None

    @property
    def method(self) -> str:
        """The stack as rows and figures call it."""
        return stack_label(self.stack)

    @property
    def key(self) -> tuple[str | int, ...]:
        """What tells it from the other setups of one campaign."""
        t = "" if self.t is None else repr(self.t)
        seed = "" if self.train_seed is None else self.train_seed
        held = (self.model_name, self.dtype.label, self.method, t, self.nonfinite)
        return (*held, self.fault_name, self.targets.label, seed)

    @property
    def answers_asset(self) -> str:
        """Under which key workers find what it answers without faults, where one handed it on."""
        return f"answers:{self.setup_id}"

    @property
    def train_seed(self) -> int | None:
        """The seed of its training, None where there is none."""
        return None if self.training is None else self.training.seed

    @property
    def needs_profile(self) -> str | None:
        """Who learns from the profile split, None where nobody does."""
        learners = [m.name for m in self.stack if (m.observes and not m.fits) or m.differentiates]
        learners += [self.fault.name] if self.fault.learns else []
        if self.targets.activations and self.dtype.largest is None:
            learners.append(f"the scale of activations in {self.dtype.label}")
        if self.targets.activations and self.nonfinite == "clamp":
            learners.append("the bound of activations (nonfinite: clamp)")
        return learners[0] if learners else None

    def refusals(self) -> list[str]:
        """Why stack or fault model have no meaning for the format or the targets; else empty."""
        kinds = self.targets.kinds
        reasons = [
            (
                method.name,
                method.refusal(self.dtype)
                or method.misfit(self.stack[:place], kinds)
                or self._idle(method),
            )
            for place, method in enumerate(self.stack)
        ]
        reasons.append((self.fault.name, self.fault.refusal(self.dtype.bit_classes)))
        told = [f"{name}: {reason}" for name, reason in reasons if reason is not None]
        if self.targets.activations and not self.dtype.one_scale:
            told.append(
                f"activations: {self.dtype.label} has scales of its own for parts of a tensor; "
                "take a format of one scale or none, such as int8, q3_12 or fp16"
            )
        return told

    @property
    def fault_refusal(self) -> str | None:
        """Why the fault model has no meaning for the targets, or None where it has one."""
        if not self.targets.activations:
            return None
        if self.fault.permanent:
            return (
                f"{self.fault.name} is of permanent cells, and those of activations are not "
                "modelled; take bit_flip, or leave out targets.activations"
            )
        if self.fault.samples_fields:
            return None
        return (
            f"{self.fault.name} chooses among all bits at once, and activations are written image "
            "by image; take bit_flip, or leave out targets.activations"
        )

    def _idle(self, method: Method) -> str | None:
        """Why a method has nothing to do where no parameter is exposed."""
        if self.targets.kinds or method.guards:
            return None
        return "acts on weights, which are not exposed; expose them, or leave it out"

    @property
    def label(self) -> str:
        """Such as ``resnet18 · fp32 · weight_scaling · t=2``; what is as usual goes unsaid."""
        parts = [self.model_name, self.dtype.label, self.method]
        parts += [] if self.t is None else [f"t={t_text(self.t)}"]
        parts += [] if self.train_seed is None else [f"train_seed={self.train_seed}"]
        variants = {
            "nonfinite": (self.nonfinite, "propagate"),
            "fault": (self.fault_name, "bit_flip"),
            "targets": (self.targets.label, "weights"),
            "compute": (self.compute, "fp32"),
        }
        parts += [f"{k}={value}" for k, (value, usual) in variants.items() if value != usual]
        return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class Point:
    """One trial of a setup.

    Args:
        trial_id: Its identity.
        ber: Bit error rate, a probability.
        seed: Of the fault positions.
        images: How many images it is judged on, a sample that the seed decides; None is all.
    """

    trial_id: str
    ber: float
    seed: int
    images: int | None = None


@dataclass(frozen=True)
class SetupPoints:
    """A setup and those of its trials that are to be run."""

    setup: Setup
    points: tuple[Point, ...]


def sampled_point(setup: Setup, ber: float, seed: int, images: int) -> Point:
    """The trial that is judged on a sample; how many images is part of what it is."""
    return Point(f"{_trial_id(setup, ber, seed)}-n{images}", ber, seed, images)


def held_point(setup: Setup, trial_id: str, ber: float, seed: int) -> Point:
    """The point that has this id.

    Raises:
        ValueError: If no point of the setup with this BER and seed has it.
    """
    whole = _trial_id(setup, ber, seed)
    mark, _, images = trial_id.removeprefix(whole).partition("-n")
    if not trial_id.startswith(whole) or mark or not (trial_id == whole or images.isdecimal()):
        raise ValueError(f"{trial_id}: no trial of BER {ber!r} and seed {seed} is called so")
    return Point(trial_id, ber, seed, int(images) if images else None)


def _trial_id(setup: Setup, ber: float, seed: int | str) -> str:
    return f"{setup.setup_id}-{ber!r}-{seed}"


def points_of(
    setup: Setup,
    bers: Sequence[float],
    seeds: Sequence[int],
    wanted: Callable[[str], bool] | None = None,
) -> Iterator[Point]:
    """Every point of a setup, or those whose id is `wanted`.

    BER 0 has the one seed 0, because nothing is drawn.
    """
    for ber in bers:
        alike = _trial_id(setup, ber, "")
        for seed in seeds if ber > 0 else (0,):
            trial_id = f"{alike}{seed}"
            if wanted is None or wanted(trial_id):
                yield Point(trial_id, ber, seed)
