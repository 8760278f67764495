"""Rows of trials with known answers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from campaign.records import COLUMNS, TrialRecord

Protection = tuple[str, float | None]
MakeRows = Callable[..., pd.DataFrame]


def record(**given: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "campaign": "c",
        "model": "resnet20",
        "dataset": "cifar10",
        "dtype": "fp32",
        "method": "none",
        "t": None,
        "nonfinite": "propagate",
        "fault": "bit_flip",
        "targets": "weights",
        "ber": 0.0,
        "seed": 0,
        "status": "ok",
        "n_samples": 1000,
        "n_correct": 900,
        "n_correct_top5": 990,
        "n_nonfinite": 0,
        "n_masked": 0,
        "n_benign": 1000,
        "n_sdc": 0,
        "n_sdc5": 0,
        "n_improved": 0,
        "stored_bits": 1000,
        "check_bits": 0,
        "exposed_bits": 1000,
        "flipped_bits": 0,
        "flipped_words": 0,
        "flips_digest": "0",
        "corrected": 0,
        "detected": 0,
        "nonfinite_weights": 0,
        "seconds": 0.5,
        "n_weights": 100,
        "scale_bits": 0,
        "constant_bits": 0,
        "inference_operations": 100_000,
        "protection_operations": 0,
        "device": "cpu",
        "host": "here",
        "compute": "float32",
        "code_version": "0",
        "attempt": 1,
        "finished_at": 1.0,
        "error_type": None,
        "error": None,
        **given,
    }
    curve = "-".join(
        str(values[key])
        for key in ("model", "dataset", "dtype", "method", "t", "nonfinite", "fault", "targets")
    )
    values = {
        "setup_id": curve,
        "trial_id": f"{curve}-{values['ber']}-{values['seed']}",
        **values,
    }
    return TrialRecord(**values).to_row()


def accuracies(shares: Iterable[float], ber: float, **given: Any) -> list[dict[str, Any]]:
    """One row a seed; each share is a multiple of 1/10,000."""
    return [
        record(ber=ber, seed=seed, n_samples=10_000, n_correct=round(10_000 * share), **given)
        for seed, share in enumerate(shares)
    ]


def campaign_rows(
    *,
    models: Sequence[str] = ("resnet20",),
    dtypes: Sequence[str] = ("fp32",),
    protections: Sequence[Protection] = (("none", None), ("saf", None)),
    bers: Sequence[float] = (0.0, 1e-7, 1e-6, 1e-5, 1e-4),
    seeds: int = 5,
    nonfinite: Sequence[str] = ("propagate",),
    rng: int = 0,
) -> pd.DataFrame:
    """A grid whose curves fall later for later protections, bimodal like real ones."""
    random = np.random.default_rng(rng)
    rows = []
    for model in models:
        for dtype in dtypes:
            for place, (method, t) in enumerate(protections):
                for policy in nonfinite:
                    for ber in bers:
                        hit = random.random(seeds if ber else 1) < -np.expm1(
                            -ber / 10 ** (-6 + place / 3)
                        )
                        shares = np.where(hit, random.uniform(0.1, 0.5, len(hit)), 0.92)
                        rows += accuracies(
                            shares,
                            ber,
                            model=model,
                            dtype=dtype,
                            method=method,
                            t=t,
                            nonfinite=policy,
                        )
    return frame(rows)


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    return campaign_rows


@pytest.fixture(scope="session")
def make_record() -> Callable[..., dict[str, Any]]:
    return record


@pytest.fixture(scope="session")
def make_points() -> Callable[..., list[dict[str, Any]]]:
    return accuracies


@pytest.fixture(scope="session")
def to_frame() -> Callable[..., pd.DataFrame]:
    return frame
