"""Which cells of a campaign a published number is about, by the names of their rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
            not any(_other_names(claim, cell, (*(claim.method or ()), claim.baseline)))
            and _at_ber(claim, cell["ber"], clean=True)
            for publication in published
            for claim in publication.claims
            if claim.measurable
        )
        for cell in heads(trials, number, names).to_dict("records")
    ]
    return pd.Series(np.array(wanted, dtype=bool)[number], index=trials.index)


def matches(claim: Claim, cell: Mapping[Any, Any]) -> bool:
    """Whether the names of a cell are those of a claim."""
    return next(differing(claim, cell), None) is None


def differing(claim: Claim, cell: Mapping[Any, Any]) -> Iterator[str]:
    """Columns in which a cell has something else than a measurable claim states."""
    yield from _other_names(claim, cell, claim.method or ())
    if not _at_ber(claim, cell["ber"]):
        yield "ber"
    if claim.t is not None and not math.isclose(claim.t, cell["t"], rel_tol=1e-6):
        yield "t"
    for key in ("nonfinite", "targets", *(["fault"] if claim.ber != 0 else [])):
        if getattr(claim, key) not in (None, cell[key]):
            yield key


def named(held: object, names: Sequence[str]) -> bool:
    """Whether a name of a row is one of `names`, which may hold ``*``."""
    return any(fnmatchcase(str(held), name) for name in names)


def _other_names(claim: Claim, cell: Mapping[Any, Any], methods: Sequence[str]) -> Iterator[str]:
    """Which of model, dataset, dtype and method are not a claim's."""
    assert claim.model is not None
    assert claim.dataset is not None
    if not named(cell["model"], claim.model.rows):
        yield "model"
    if not named(cell["dataset"], claim.dataset.rows):
        yield "dataset"
    if claim.dtype != cell["dtype"]:
        yield "dtype"
    if not named(cell["method"], methods):
        yield "method"


def _at_ber(claim: Claim, ber: float, *, clean: bool = False) -> bool:
    """Whether a BER is that of a claim, or 0 where `clean`."""
    assert claim.ber is not None
    return (clean and ber == 0) or math.isclose(float(claim.ber), ber, rel_tol=1e-6)
