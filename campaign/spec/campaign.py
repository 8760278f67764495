"""The spec as its author writes it; validated here and nowhere else.

Each field has one role: *identity* (decides what every row means; a change is drift), *axis* (a
coordinate of the grid; a change adds or drops trials), *execution* (how the rows come about; never
changes them).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    WithJsonSchema,
    field_validator,
)

from campaign.formats import FORMATS, NumberFormat
from campaign.methods import METHODS, Method
from campaign.sources import DATASETS, MODELS, DatasetSource, ModelSource
from campaign.spec import axes, forms
from campaign.spec.choice import Choice, chooser, each, problems_error
from campaign.spec.precision import PrecisionSpec
from campaign.spec.roles import Section, axis, execution, identity
from campaign.spec.training import TrainingSpec
from campaign.spec.vary import BitIndex, Fault, Lifetime, NotBool, Vary

DEFAULT_SEEDS = 50
"""Seeds of a grid that says nothing of them."""
Stack = tuple[Choice[Method], ...]


def _stack(raw: Any) -> Stack:  # noqa: ANN401
    chosen = each(chooser(METHODS), axes.one_or_many(raw))
    if not chosen:
        raise problems_error([((), "got an empty list; use none for no protection")])
    return tuple(chosen)


def _registered(kind: str) -> WithJsonSchema:
    return WithJsonSchema({"x-registry": kind})


Dtype = Annotated[Choice[NumberFormat], PlainValidator(chooser(FORMATS)), _registered("dtype")]
Protection = Annotated[Stack, PlainValidator(_stack), _registered("stack")]
Model = Annotated[
    Choice[ModelSource], PlainValidator(chooser(MODELS, titled=True)), _registered("model")
]
Dataset = Annotated[
    Choice[DatasetSource], PlainValidator(chooser(DATASETS, titled=True)), _registered("dataset")
]
Count = Annotated[int, Field(ge=1), NotBool]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), NotBool]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False), NotBool]
Ber = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), NotBool]
Nonfinite = Literal["propagate", "zero", "clamp"]
Bers = Annotated[
    list[Ber],
    BeforeValidator(axes.ber_axis),
    Field(min_length=1),
    WithJsonSchema(forms.BER),
]
Seeds = Annotated[Sequence[int], PlainValidator(axes.seed_axis), WithJsonSchema(forms.SEED)]
Ts = Annotated[dict[str, list[float | str]], PlainValidator(axes.t_axis), WithJsonSchema(forms.T)]
TList = Annotated[
    list[float | str] | None,
    PlainValidator(axes.or_none(axes.t_list)),
    WithJsonSchema(forms.T_LIST),
]
SeedsOrNone = Annotated[
    Sequence[int] | None,
    PlainValidator(axes.or_none(axes.seed_axis)),
    WithJsonSchema(forms.or_null(forms.SEED)),
]
SeedValues = Annotated[
    Sequence[int] | None,
    PlainValidator(axes.or_none(axes.seed_values)),
    WithJsonSchema(forms.or_null(forms.SEED)),
]
TsOrNone = Annotated[
    dict[str, list[float | str]] | None,
    PlainValidator(axes.or_none(axes.t_axis)),
    WithJsonSchema(forms.or_null(forms.T)),
]
Texts = Annotated[list[str], BeforeValidator(axes.one_or_many)]


Dtypes = Annotated[list[Dtype], BeforeValidator(axes.one_or_many), Field(min_length=1)]
Protections = Annotated[list[Protection], BeforeValidator(axes.one_or_many), Field(min_length=1)]
Models = Annotated[list[Model], BeforeValidator(axes.one_or_many), Field(min_length=1)]
Nonfinites = Annotated[list[Nonfinite], BeforeValidator(axes.one_or_many), Field(min_length=1)]
Metrics = Annotated[
    list[Literal["top1", "top5"]], BeforeValidator(axes.one_or_many), Field(min_length=1)
]
Bits = Annotated[list[BitIndex | str], BeforeValidator(axes.one_or_many)]
Names = Annotated[Texts, Field(min_length=1)]


class Rule(Section):
    """Which points a rule means: those that match on every axis it names.

    Names are those of rows (``weight_scaling``, ``saf(function=softsign)``) and may hold ``*``.
    """

    model: Names | None = axis(None, "Model names.")
    dtype: Names | None = axis(None, "Number formats.")
    method: Names | None = axis(None, "Stacks, as rows call them.")
    t: TList = axis(None, "Values of t.")
    nonfinite: Nonfinites | None = axis(None, "Non-finite policies.")
    fault: Names | None = axis(None, "Fault models, as rows call them.")
    targets: Names | None = axis(None, "What is exposed, as rows call it.")
    ber: Bers | None = axis(None, "Bit error rates.")
    seed: SeedValues = axis(None, "Seeds.")


class SubGrid(Section):
    """Points beside the product: an axis that is not named takes the values of the grid."""

    model: Names | None = axis(None, "Model names.")
    dtype: Dtypes | None = axis(None, "Number formats.")
    method: Protections | None = axis(None, "Stacks of protections.")
    t: TsOrNone = axis(None, "Weight-scaling targets.")
    nonfinite: Nonfinites | None = axis(None, "Non-finite policies.")
    vary: Vary | None = axis(None, "Fault models, lifetimes and targets.")
    ber: Bers | None = axis(None, "Bit error rates.")
    seeds: SeedsOrNone = axis(None, "Seeds.")


Rules = Annotated[list[Rule], BeforeValidator(axes.one_or_many)]
SubGrids = Annotated[list[SubGrid], BeforeValidator(axes.one_or_many)]


class Grid(Section):
    """The axes of the campaign; every combination is run, less `exclude`, plus `include`."""

    dtype: Dtypes = axis(..., "Number formats of the stored weights.")
    method: Protections = axis(
        ..., "Protections: a name, {name: {options}}, or a list of these (a stack)."
    )
    ber: Bers = axis(..., "Bit error rates: a list, or {logspace: [low, high], per_decade: n}.")
    seeds: Seeds = axis(
        DEFAULT_SEEDS,
        "How many seeds, a list of them, or {start: s, count: n}.",
        validate_default=True,
    )
    t: TsOrNone = axis(
        None, "Weight-scaling targets: numbers, 2^127 or max; or a mapping of dtype to these."
    )
    nonfinite: Nonfinites = axis(
        ["propagate"],
        "What a NaN or infinite weight or activation reads as: propagate, zero, clamp (to the "
        "largest fault-free magnitude of the tensor).",
    )
    vary: Vary | None = axis(
        None, "Fault models, lifetimes and targets in place of the campaign's one of each."
    )
    clean: bool = axis(True, "Add BER 0, the fault-free trial, to every setup.")
    exclude: Rules = axis([], "Points to leave out.")
    include: SubGrids = axis([], "Points to add.")


class TargetSpec(Section):
    """Which parameters, and whether activations, are in faultable memory."""

    weights: bool = identity(True, "Weights of convolutions and linear layers.")
    biases: bool = identity(False, "Biases of convolutions and linear layers.")
    norms: bool = identity(False, "Scale and shift of normalisation layers.")
    other: bool = identity(False, "Any other parameter: embeddings, tokens, layer scales.")
    include: Texts = identity([], "Only parameters whose name matches one of these (* and ?).")
    exclude: Texts = identity([], "Not the parameters whose name matches one of these.")
    exempt_bits: Bits = identity(
        [],
        "Bits that never flip, nor their copies in check words: positions (0 = least significant) "
        "or sign, exponent_msb, ...; checks is all check words, scale the stored scales.",
    )
    only_bits: Bits = identity(
        [],
        "Only these bits and their copies in check words flip: positions, classes, checks or "
        "scale, as in exempt_bits; empty means all.",
    )
    activations: bool = identity(
        False,
        "Outputs of convolutions and linear layers, stored in dtype; include and exclude go "
        "by the layer's name. Their faults are drawn for each inference, whatever the lifetime.",
    )


class ProfileSpec(Section):
    """Images that protections and attacks may learn from; trials are never judged on them."""

    dataset: Dataset | None = identity(
        None, "Labelled images of their own; null holds images out of the test set."
    )
    images: Count = identity(500, "How many images, chosen by a fixed permutation.")


class EvaluationSpec(Section):
    """How a corrupted network is judged."""

    subset: Count | None = identity(
        None, "Evaluate this many images, chosen by a fixed permutation; null is all.", ge=1
    )
    compute: Literal["fp32", "bf16", "fp16", "tf32"] = identity(
        "fp32",
        "Arithmetic of the forward pass, whatever the weights are stored in: bf16 and fp16 by "
        "autocast (fp16 is slow on CPUs), tf32 on CUDA devices.",
    )
    batch_size: Count | Literal["auto"] = execution(
        "auto",
        "Images a forward pass, halved where memory does not hold them; auto goes by the cache on "
        "a CPU, and takes many on a GPU.",
    )
    metrics: Metrics = execution(
        ["top1"], "Which accuracies tables and figures show; rows count both."
    )


class EngineSpec(Section):
    """Where trials run."""

    executor: Literal["ray", "inline"] = execution("ray", "Ray workers, or this process.")
    address: str | None = execution(None, "Ray cluster to join; null starts a local one.")
    workers: Count | Literal["auto"] = execution("auto", "How many; auto fills the cluster.")
    cpus_per_worker: Count = execution(1, "Threads of each worker.")
    gpus_per_worker: Share | Literal["auto"] = execution(
        "auto", "GPUs of each worker, fractions allowed; auto is 1 where there is a GPU, else 0."
    )
    mode: Literal["fast", "reference"] = execution(
        "fast",
        "fast takes every short cut that gives the same answers up to the order of sums; "
        "reference computes each trial plainly, to compare.",
    )
    batch_seconds: Seconds = execution(5.0, "How long one batch of trials should take.")
    max_attempts: Count = execution(3, "Deaths of its worker before a trial is given up.")
    patience_seconds: Seconds = execution(
        300.0, "Silence of a busy worker after which it is asked whether it lives."
    )
    grace_seconds: Seconds = execution(
        30.0, "How long trials in flight are waited for after Ctrl-C or SIGTERM."
    )


class OutputSpec(Section):
    """What is written, and where."""

    results: str | None = execution(None, "Folder of the results; null is results/<name>.")
    mlflow: bool = execution(True, "Tell MLflow about the curves.")
    tracking_uri: str | None = execution(
        None, "MLflow tracking URI; null takes MLFLOW_TRACKING_URI, else results/mlflow.db."
    )
    interval: Literal["bounded", "bootstrap"] = execution(
        "bounded",
        "Interval of a mean over seeds: bounded allows for fault maps not seen; bootstrap.",
    )
    report: bool = execution(True, "Make tables and figures at the end of a run.")


class CampaignSpec(Section):
    """A campaign: which networks, stored how, protected how, with how many bit errors."""

    name: str = execution(..., "Name of the campaign; names its results folder.")
    description: str = execution("", "What the campaign is to show.")
    models: Models = axis(..., "Networks: a name, or {name: {options}}.")
    dataset: Dataset = identity(..., "Labelled test set.")
    grid: Grid = axis(..., "The axes.")
    fault: Fault = identity("bit_flip", "Fault model.", validate_default=True)
    targets: TargetSpec = identity(TargetSpec(), "Which parameters are exposed.")
    lifetime: Lifetime = identity(
        "persistent",
        "How long a fault map lasts: persistent, or after how many images the next one is drawn.",
    )
    fold_batchnorm: bool = identity(
        False, "Fold each BatchNorm into the layer before it, as deployment does, and store that."
    )
    profile: ProfileSpec | None = identity(
        None, "Images to learn bounds or attacks from, for the methods and fault models that do."
    )
    training: TrainingSpec | None = identity(
        None, "How networks are trained for the methods that ask for it."
    )
    precision: PrecisionSpec | None = identity(
        None,
        "How well each mean is to be known, in place of grid.seeds; null runs every seed on every "
        "image.",
    )
    evaluation: EvaluationSpec = execution(EvaluationSpec(), "How trials are judged.")
    engine: EngineSpec = execution(EngineSpec(), "Where trials run.")
    output: OutputSpec = execution(OutputSpec(), "What is written.")

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
            raise ValueError(f"got {value!r}; allowed: letters, digits, . _ - (at most 100)")
        return value
