"""Which cells of a campaign a published number is about, by the names of their rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from campaign.analysis.rows import heads, numbered
from campaign.published import Claim, Publication


def asked_for(trials: pd.DataFrame, published: Sequence[Publication]) -> pd.Series[bool]:
    """Which trials a claim may look at: those of its cells, of its baseline, and without faults."""
    names = ["model", "dataset", "dtype", "method", "ber"]
    number = numbered(trials, names)
    wanted = [
        any(
            _same_names(claim, cell, baseline=True) and _at_ber(claim, cell["ber"], clean=True)
            for publication in published
            for claim in publication.claims
            if claim.measurable
        )
        for cell in heads(trials, number, names).to_dict("records")
    ]
    return pd.Series(np.array(wanted, dtype=bool)[number], index=trials.index)


def matches(claim: Claim, cell: Mapping[Any, Any]) -> bool:
    """Whether the names of a cell are those of a claim."""
    faulty = claim.ber != 0
    exact = ("nonfinite", "targets", *(["fault"] if faulty else []))
    stated = [key for key in exact if getattr(claim, key) is not None]
    return (
        _same_names(claim, cell)
        and _at_ber(claim, cell["ber"])
        and all(getattr(claim, key) == cell[key] for key in stated)
        and (claim.t is None or math.isclose(claim.t, cell["t"], rel_tol=1e-6))
    )


def _same_names(claim: Claim, cell: Mapping[Any, Any], *, baseline: bool = False) -> bool:
    """Whether model, dataset, dtype and method are a claim's, or the method its `baseline`."""
    assert claim.model is not None
    assert claim.dataset is not None
    methods = (*(claim.method or ()), *([claim.baseline] if baseline else []))
    named = (
        (claim.model.rows, cell["model"]),
        (claim.dataset.rows, cell["dataset"]),
        (methods, cell["method"]),
    )
    return claim.dtype == cell["dtype"] and all(
        any(fnmatchcase(held, name) for name in names) for names, held in named
    )


def _at_ber(claim: Claim, ber: float, *, clean: bool = False) -> bool:
    """Whether a BER is that of a claim, or 0 where `clean`."""
    assert claim.ber is not None
    return (clean and ber == 0) or math.isclose(float(claim.ber), ber, rel_tol=1e-6)
