"""The first table: what each protection keeps, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from campaign.analysis.labels import percent
from campaign.analysis.markup import Cell, Column, Grid, Number
from campaign.analysis.page.section import Section, grid, links
from campaign.analysis.page.subject import Subject
from campaign.analysis.rows import CURVE_KEYS, VARIANT_KEYS
from campaign.analysis.styles import BASELINE
from campaign.analysis.tables import tolerated
from campaign.analysis.tolerance import DROPS, column_of
from campaign.text import t_text


def headline(subject: Subject) -> Section:
    """Clean accuracy, tolerated bit error rates with intervals and cost of every curve."""
    kinds = ("/summary_", "/cost_", "/trainings_")
    tables = [path for path in subject.files if any(kind in path for kind in kinds)]
    name = "What each method tolerates and costs"
    return Section("headline", name, grid(_grid(subject), name=name) + links(tables))


def _grid(subject: Subject) -> Grid:
    extra = ["memory_overhead", "operations_overhead", "bits_per_weight", "front_of_model"]
    table = subject.summary.merge(
        subject.cost[[*CURVE_KEYS, *extra]], on=list(CURVE_KEYS), how="left"
    )
    models = {name: k for k, name in enumerate(subject.order.of_models(table["model"]))}
    dtypes = {name: k for k, name in enumerate(subject.order.of_dtypes(table["dtype"]))}
    table = table.assign(_m=table["model"].map(models), _d=table["dtype"].map(dtypes))
    table = table.assign(_n=table["method"] != BASELINE)
    table = table.sort_values(["_m", "_d", "_n"], kind="stable", ignore_index=True)
    varied = [key for key in VARIANT_KEYS if table[key].nunique() > 1]
    columns = [
        *(Column((name,), numeric=False) for name in ("Model", "dtype", "Method")),
        *(Column((key,), numeric=False) for key in varied),
        Column(("Maps",)),
        *([Column(("Failed",))] if table["n_failed"].any() else []),
        Column(("Clean (%)",)),
        *(Column((f"{100 * drop:.4g} pt drop",), "BER at") for drop in DROPS),
        Column(("memory",), "Overhead (%)"),
        Column(("operations",), "Overhead (%)"),
        Column(("per weight",), "Bits"),
        Column(("Front",), numeric=False),
    ]
    rows = [_cells(row, varied, bool(table["n_failed"].any())) for row in _rows(table)]
    changes = (table[["model", "dtype"]] != table[["model", "dtype"]].shift()).any(axis=1)
    starts = np.flatnonzero(changes.to_numpy())
    blocks = [rows[a:b] for a, b in zip(starts, [*starts[1:], len(rows)], strict=True)]
    return Grid((_caption(subject),), columns, blocks)


def _rows(table: Any) -> list[dict[Hashable, Any]]:  # noqa: ANN401 - pandas has no typed rows
    return list(table.to_dict("records"))


def _cells(row: Mapping[Hashable, Any], varied: list[str], with_failed: bool) -> list[Cell]:
    """One row, in the order of the columns of `_grid`."""
    memory = row["memory_overhead"]
    bits = row["bits_per_weight"]
    t = () if math.isnan(row["t"]) else (" \u00b7 t=", Number(t_text(row["t"])))
    return [
        (row["model"],),
        (row["dtype"],),
        (row["method"], *t),
        *((row[key],) for key in varied),
        (str(row["n_seeds"]),),
        *([(str(row["n_failed"]),)] if with_failed else []),
        (percent(row["clean"], 2),),
        *(tolerated(row, column_of(drop)) for drop in DROPS),
        (percent(row["overhead"] if math.isnan(memory) else memory),),
        (percent(row["operations_overhead"]),),
        ("-" if math.isnan(bits) else f"{bits:.2f}",),
        ("yes" if row["front_of_model"] is True else "",),
    ]


def _caption(subject: Subject) -> str:
    shared = [
        f"{key} {subject.summary[key].iloc[0]}"
        for key in VARIANT_KEYS
        if subject.summary[key].nunique() == 1
    ]
    return (
        f"{subject.metric_name.capitalize()} without faults; bit error rate (BER) at which the "
        "mean has fallen by 1 and 5 points below it, linear in log BER between the measured ones, "
        "with 95 % bootstrap intervals over fault maps (no allowance for maps not seen). Overhead: "
        "check bits and protected constants in % of stored bits; operations of the protections in "
        "% of those of an inference of batch size 1. Front: no other method and number format of "
        "the model has as few bits per weight (with constants) and as high a BER at 5 points. "
        f"{_trained(subject)}Here: {', '.join(shared)}."
    )


def _trained(subject: Subject) -> str:
    if subject.trainings == 1:
        return ""
    return (
        f"Means are over up to {subject.trainings} trainings of a network, with intervals over "
        "fault maps alone; the tables summary and cost have a row for each training. "
    )
