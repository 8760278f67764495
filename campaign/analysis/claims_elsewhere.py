"""Published numbers of the same networks or methods that no cell of a campaign stands beside."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from campaign.analysis.claim_cells import differing, named
from campaign.analysis.claims import USUAL_FAULT
from campaign.analysis.markup import Cell, Column, Grid
from campaign.analysis.rows import heads, numbered
from campaign.analysis.tables import write_grid
from campaign.published import Claim, Publication
from campaign.text import rate_text, t_text

_NAMES = ["model", "dataset", "dtype", "method", "t", "ber", "fault", "nonfinite", "targets"]
_COLUMNS = ["claim", "source", "about", "published", "unit", "apart", "settled_by"]


def claims_elsewhere(
    trials: pd.DataFrame, published: Sequence[Publication], beside: Collection[str]
) -> pd.DataFrame:
    """What others published of networks, protections or attacks of a campaign, but of no cell.

    Args:
        trials: What `rows.as_trials` gives.
        published: What `campaign.published.load_published` gives.
        beside: Claims that have a cell; see `claims.claims`.

    Returns:
        One row for each claim, in their order: ``claim, source, about, published`` (text),
        ``unit``, ``apart`` (in what the nearest cell differs) and ``settled_by`` (what it takes).
    """
    cells = heads(trials, numbered(trials, _NAMES), _NAMES).to_dict("records")
    found = [
        {
            "claim": claim.id,
            "source": publication.source,
            "about": claim.about,
            "published": claim.text,
            "unit": claim.unit or "",
            "apart": "; ".join(_apart(claim, cells)),
            "settled_by": publication.settled_by,
        }
        for publication in published
        for claim in publication.claims
        if claim.id not in beside and _concerns(publication, claim, cells)
    ]
    return pd.DataFrame(found, columns=_COLUMNS)


def write_elsewhere(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write what `claims_elsewhere` gave as ``claims_elsewhere.{csv,md,tex}``; none where empty."""
    if table.empty:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return write_grid(table, for_people(table), folder / "claims_elsewhere")


def for_people(table: pd.DataFrame) -> Grid:
    """What `claims_elsewhere` gave, a block for each publication."""
    names = ("Claim", "What", "Published", "What differs here", "Settled by")
    blocks: list[list[list[Cell]]] = [
        [
            [
                (str(row["claim"]),),
                (str(row["about"]),),
                (f"{row['published']} {str(row['unit']).replace('_', ' ')}".strip(),),
                (str(row["apart"]),),
                (str(row["settled_by"]),),
            ]
            for row in part.to_dict("records")
        ]
        for _, part in table.groupby("source", sort=False)
    ]
    sources = "; ".join(dict.fromkeys(table["source"]))
    return Grid(
        (f"{_CAPTION} Sources: {sources}.",),
        [Column((name,), numeric=False) for name in names],
        blocks,
    )


_CAPTION = (
    "Published numbers of networks, protections or attacks of this campaign that none of its cells "
    "may stand beside, with what differs in the nearest cell."
)


def _concerns(publication: Publication, claim: Claim, cells: Sequence[Mapping[Any, Any]]) -> bool:
    """Whether a claim is of a network, a protection or an attack that some cell has."""
    own = tuple(name for name in claim.method or () if name != claim.baseline)
    methods = (*own, *publication.methods)
    models = () if claim.model is None else claim.model.rows
    return any(
        named(cell["model"], models)
        or named(cell["method"], methods)
        or (claim.fault not in (None, USUAL_FAULT) and claim.fault == cell["fault"])
        for cell in cells
    )


def _apart(claim: Claim, cells: Sequence[Mapping[Any, Any]]) -> list[str]:
    """In what the nearest cell differs from a claim."""
    if not claim.measurable:
        return ["rows do not give this quantity"]
    nearest = min(
        cells, key=lambda cell: (len(list(differing(claim, cell))), _decades(claim, cell))
    )
    nothing = claim.baseline if claim.quantity == "top1_gain" else "its trials"
    found = [_told(claim, nearest, key) for key in differing(claim, nearest)]
    return found or [f"no result of {nothing}"]


def _decades(claim: Claim, cell: Mapping[Any, Any]) -> float:
    """How far the BER of a cell is from that of a claim."""
    rates = float(claim.ber or 0), float(cell["ber"])
    return abs(math.log10(rates[0] / rates[1])) if min(rates) > 0 else math.inf


def _told(claim: Claim, cell: Mapping[Any, Any], key: str) -> str:
    """What a claim has in a column, and in most of them what the cell has."""
    here = f"(here {rate_text(cell[key]) if key == 'ber' else cell[key]})"
    if key == "model":
        return f"{claim.model and claim.model.name} {here}"
    if key == "dataset":
        return f"{claim.dataset and claim.dataset.rows[0].rstrip('*')} {here}"
    if key == "dtype":
        return f"{claim.dtype} {here}"
    if key == "method":
        return f"method {' or '.join(claim.method or ())}"
    if key == "ber":
        return f"BER {rate_text(float(claim.ber or 0))} {here}"
    return f"t = {t_text(claim.t)}" if claim.t and key == "t" else f"{key} {getattr(claim, key)}"
