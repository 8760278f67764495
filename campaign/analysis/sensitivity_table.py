"""Sensitivity studies as CSV for machines and as Markdown and LaTeX for people."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from campaign.analysis.labels import method_label, percent
from campaign.analysis.markup import Cell, Column, Grid, Number
from campaign.analysis.rows import METRIC_NAMES, Metric
from campaign.analysis.sensitivity import STUDIES
from campaign.analysis.tables import write_grid
from campaign.text import rate_text

_CLASSES = {"masked": "masked", "benign": "benign", "sdc": "SDC-1", "sdc5": "SDC-5", "due": "DUE"}
_CLASSES |= {"improved": "improved"}


def write_sensitivity(studied: pd.DataFrame | None, folder: Path, metric: Metric) -> list[Path]:
    """Write what `sensitivity.sensitivity` gave for `metric`, a table for each study.

    Args:
        studied: One row for each study, group and point.
        folder: Where the files go; made where it is missing.
        metric: ``top1`` or ``top5``.

    Returns:
        ``sensitivity_<study>_<metric>.csv`` (shares, full precision), ``.md`` and ``.tex``
        (percent; needs ``booktabs``); none where nothing was varied.
    """
    if studied is None:
        return []
    written = []
    for study, part in studied.groupby("study", sort=False):
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / f"sensitivity_{study}_{metric}"
        written += write_grid(part.drop(columns=["place"]), for_people(part, metric), stem)
    return written


def for_people(part: pd.DataFrame, metric: Metric) -> Grid:
    """One study of what `sensitivity.sensitivity` gave, in percent; a block for each group."""
    known = {name: text for name, text in _CLASSES.items() if part[name].notna().any()}
    columns = [
        Column(("What is the same",), numeric=False),
        Column((STUDIES[str(part["study"].iloc[0])][0],), numeric=False),
        Column(("BER",)),
        Column(("Maps",)),
        Column(("Flips",)),
        Column(("Clean",)),
        Column(("Drop [interval]",)),
        *(Column((text,), "Share of images (%)") for text in known.values()),
    ]
    blocks = [
        [_cells(row, known) for row in group.to_dict("records")]
        for _, group in part.groupby("group", sort=False)
    ]
    return Grid(_caption(metric), columns, blocks)


def same_label(row: Mapping[Hashable, Any]) -> str:
    """What all points of a group share, less what is usual."""
    parts = [row["model"], row["dtype"], method_label(str(row["method"]), float(row["t"]))]
    parts += [f"nonfinite {row['nonfinite']}"] if row["nonfinite"] != "propagate" else []
    parts += [row["held_fault"].strip()] if row["held_fault"] not in ("", "bit_flip") else []
    parts += [row["held_targets"]] if row["held_targets"] not in ("", "weights") else []
    return " \u00b7 ".join(map(str, parts))


def _cells(row: Mapping[Hashable, Any], known: Mapping[str, str]) -> list[Cell]:
    drop, *ends = (_points(row[end]) for end in ("drop", "drop_low", "drop_high"))
    interval = "" if "-" in ends else f" [{ends[0]}, {ends[1]}]"
    return [
        (same_label(row),),
        (str(row["value"]),),
        (Number(rate_text(row["ber"])),),
        (str(row["n_trials"]),),
        (f"{row['flipped_bits_mean']:.4g}",),
        (percent(row["clean"], 2),),
        (f"{drop}{interval}",),
        *((percent(row[name], 2),) for name in known),
    ]


def _points(drop: float) -> str:
    """A drop in points; one that rounds to nothing has no sign."""
    return percent(round(drop, 4) + 0.0, 2)


def _caption(metric: Metric) -> Cell:
    return (
        f"Drop: {METRIC_NAMES[metric]} without faults, of the same stored model, less the mean "
        "over fault maps, in points, with the interval of that mean. BER: of the bits that are "
        "exposed; flips: bits that differ, mean of a map. Masked: the same logits to the bit; "
        "benign: other logits, the same class; SDC-1: another class; SDC-5: the fault-free class "
        "is not among the first five; DUE: a logit that is not finite; improved: right with "
        "faults and wrong without. Masked, benign, SDC-1 and DUE add up to all images.",
    )
