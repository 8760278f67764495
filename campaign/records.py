"""The row schema: one flat row for each trial, counts not ratios."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

SCHEMA_VERSION = 1
"""Raised when a column changes its meaning or goes; new columns alone do not raise it."""


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial as it is stored: every column of the Parquet parts, in their order.

    Counts of a failed trial (``status`` other than ``ok``) are None. Classes of outcome are
    relative to the fault-free output of the same stored model, and ``n_masked + n_benign + n_sdc +
    n_nonfinite == n_samples``.
    """

    trial_id: str
    """Identity: hash of the setup, fault model, BER and seed; images of a sample, if it is one."""
    setup_id: str
    """Hash of everything but BER and seed that decides the result."""
    campaign: str
    """Name of the campaign."""
    model: str
    """Model, as the spec calls it."""
    dataset: str
    """Dataset, as the spec calls it."""
    dtype: str
    """Number format of the stored words."""
    method: str
    """Stack of protections, `none` for the baseline."""
    t: float | None
    """Weight-scaling target; null where the stack takes none."""
    train_seed: int | None = None
    """Seed of the training of the network; null where none was trained for the trial."""
    nonfinite: str
    """What a non-finite weight or stored activation reads as: propagate, zero, clamp."""
    fault: str
    """Fault model."""
    targets: str
    """What is exposed, such as `weights`, `weights+biases` or `weights+activations`."""
    ber: float
    """Bit error rate, a probability; 0 is the fault-free trial."""
    seed: int
    """Seed of the fault positions."""
    status: str
    """ok, error (the trial raised), crashed (it killed its worker), oom, diverged (training)."""
    n_samples: int | None
    """Images evaluated: with `precision` a sample, drawn anew for each seed."""
    n_correct: int | None
    """Images with the right top-1 class and finite logits."""
    n_correct_top5: int | None
    """Images with the right class among the five largest logits, all finite."""
    n_nonfinite: int | None
    """Images with a non-finite logit: detected errors, counted as wrong."""
    n_masked: int | None
    """Images whose logits equal the fault-free ones to the bit; on a sample of images, the last
    bits may differ for the size of the batch alone."""
    n_benign: int | None
    """Images whose logits differ and whose top-1 class does not."""
    n_sdc: int | None
    """Images whose top-1 class changed silently (SDC-1)."""
    n_sdc5: int | None
    """Images whose fault-free top-1 class is not among the five largest, finite logits (SDC-5)."""
    n_improved: int | None
    """Images that were wrong without faults and are right with them."""
    n_fault_free: int | None = None
    """Of the images evaluated, those that are right without faults; null without `precision`."""
    stored_bits: int | None
    """Bits of payload and stored scales of parameters in faultable memory; no activations."""
    check_bits: int | None
    """Check bits of methods in faultable memory, beside the stored bits."""
    exposed_bits: int | None
    """Bits that a fault may hit: stored and check bits, once for each fault map of the trial, and
    the bits of exposed activations that all images write, less exempt ones; BER's denominator."""
    flipped_bits: int | None
    """Bits that differ from what was stored, scales, check bits and activations included, counted
    by XOR."""
    flipped_words: int | None
    """Words of payload, scales, checks and activations with at least one flipped bit."""
    flips_digest: str | None
    """Fingerprint of all flipped positions: equal for equal faults."""
    corrected: int | None
    """Words that a decoder repaired."""
    detected: int | None
    """Words that a decoder found wrong and could not repair."""
    nonfinite_weights: int | None
    """Weights that read as NaN or infinity before the non-finite policy; no activations."""
    flipped_worst: int | None = None
    """Flipped payload bits of the worst class: an exponent's most significant bit, else the most
    significant bit of a word; null without `precision`."""
    exposed_worst: int | None = None
    """Payload bits of that class that a fault may hit; null without `precision`."""
    seconds: float
    """Wall time of the trial."""
    n_weights: int | None
    """Weights in faultable memory."""
    scale_bits: int | None
    """Bits of the number format's scales in protected memory; a stored scale is a stored bit."""
    constant_bits: int | None
    """Bits of constants that methods keep in protected memory."""
    inference_operations: int | None
    """Multiplications and additions of convolutions and matrix products for one image."""
    protection_operations: int | None
    """Operations of the methods where one image takes one reading of all exposed weights."""
    device: str
    """Device that computed, such as `cpu` or `cuda:NVIDIA H200`."""
    host: str
    """Machine that ran the trial."""
    compute: str
    """Settings of the computation that may move the last bit: dtype, batch size, threads."""
    code_version: str
    """Version of campaign and the git revision it ran from."""
    attempt: int
    """1 for the first try; higher where a worker had died."""
    finished_at: float
    """Seconds since the epoch."""
    error_type: str | None
    """Class of the exception of a failed trial."""
    error: str | None
    """First line of its message."""

    def to_row(self) -> dict[str, Any]:
        """The record as a mapping of column to value."""
        return asdict(self)


@dataclass(frozen=True)
class Failure:
    """Why a trial has no result."""

    status: str
    """``error``, ``crashed``, ``oom`` or ``diverged``."""
    error_type: str
    error: str
    attempt: int = 1
    seconds: float = 0.0


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(TrialRecord))
RESULT_COLUMNS: tuple[str, ...] = (
    "status",
    *COLUMNS[COLUMNS.index("n_samples") : COLUMNS.index("seconds")],
)
"""Columns that a repeated trial must reproduce on the same device.

Those of cost are not among them: they belong to the setup, and older rows lack them.
"""


def column_types() -> dict[str, str]:
    """Column -> ``str``, ``int`` or ``float`` with its nullability dropped, in order."""
    return {f.name: str(f.type).removesuffix(" | None") for f in fields(TrialRecord)}
