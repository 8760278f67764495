"""Outcome classes over bit error rate as a figure: a block for each number format and method."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from campaign.analysis import drawing
from campaign.analysis.figures import save, under_settings
from campaign.analysis.layout import LINE_STEP, PAGE
from campaign.analysis.lettering import text_width, write
from campaign.analysis.order import Order
from campaign.analysis.page.outcomes import CLASSES
from campaign.analysis.page.palette import OUTCOMES
from campaign.analysis.panels import slug, variants
from campaign.analysis.styles import Protection, line_styles
from campaign.text import rate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, GAP = 0.62, 0.12
"""Height of a row of blocks and what lies between two, inches."""
_SAID = {"masked": "masked", "benign": "benign", "sdc": "SDC", "due": "DUE"}


class Blocks(NamedTuple):
    """One figure."""

    name: str
    """Ending of its file name; empty where there is one figure only."""
    title: str
    dtypes: list[str]
    protections: list[Protection]
    bers: list[float]
    shares: pd.DataFrame
    """What `outcomes.outcomes` gives, above BER 0 and known."""


def draw_outcomes(
    table: pd.DataFrame,
    folder: Path,
    order: Order = Order(),  # noqa: B008 - immutable
) -> list[Path]:
    """Draw what became of the images: a row for each number format, a block for each method.

    Args:
        table: What `outcomes.outcomes` gives.
        folder: Where the files go; made where it is missing.
        order: In which order models and number formats stand.

    Returns:
        The files, ``outcomes[_<variant>].png`` (200 dpi), ``.svg`` and ``.pdf``, a figure for each
        model and variant; none where no class is known above BER 0.
    """
    known = table[(table["ber"] > 0) & table[list(CLASSES)].notna().all(axis=1)]
    if known.empty:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with under_settings():
        for blocks in _figures(known, order):
            stem = "outcomes" + (f"_{blocks.name}" if blocks.name else "")
            written += save(draw_blocks(blocks), folder / stem)
    return written


def draw_blocks(blocks: Blocks) -> Figure:
    """One figure, not yet written, to be made under `SETTINGS`."""
    from matplotlib.figure import Figure

    left = 0.2 + max(text_width(dtype, drawing.TICK_SIZE) for dtype in blocks.dtypes)
    labels = [drawing.label_of(protection) for protection in blocks.protections]
    steep = 0.75 * max(text_width(label) for label in labels) + 0.1
    notes = textwrap.wrap(_footnote(blocks), 165)
    ground = 0.28 + len(notes) * LINE_STEP + steep
    rows = len(blocks.dtypes) * (ROW + GAP)
    height = ground + rows + (0.22 if blocks.title else 0.04)
    figure = Figure(figsize=(PAGE, height))
    axes = figure.add_axes(
        (left / PAGE, ground / height, (PAGE - left - 0.3) / PAGE, rows / height)
    )
    _draw(axes, blocks)
    wide = len(blocks.bers) + 1
    axes.set_xticks([wide * (k + 0.5) - 0.5 for k in range(len(labels))], labels, rotation=45)
    axes.tick_params(axis="x", labelsize=drawing.LABEL_SIZE, length=0, labelcolor=drawing.INK)
    for tick in axes.get_xticklabels():
        tick.set(ha="right", rotation_mode="anchor")
    _draw_keys(figure, 0.1 + len(notes) * LINE_STEP)
    write(figure, 0.06, 0.04, "\n".join(notes), size=6.0, va="bottom")
    if blocks.title:
        write(figure, left, height - 0.16, blocks.title, size=8.0, weight="bold")
    return figure


def _figures(known: pd.DataFrame, order: Order) -> Iterator[Blocks]:
    many = known["model"].nunique() > 1
    for said, part in variants(known):
        for model in order.of_models(part["model"]):
            own = _without_lone_t(part[part["model"] == model])
            pairs = own[["method", "t"]].drop_duplicates().itertuples(index=False)
            more = [*said, model] if many else said
            yield Blocks(
                slug(more),
                " · ".join(more),
                order.of_dtypes(own["dtype"]),
                list(line_styles((m, None if math.isnan(t) else t) for m, t in pairs)),
                sorted(set(own["ber"])),
                own,
            )


def _without_lone_t(own: pd.DataFrame) -> pd.DataFrame:
    """Blocks of one method below each other, where no number format has it with several t."""
    several = own.groupby(["dtype", "method"])["t"].nunique(dropna=False) > 1
    return own if several.any() else own.assign(t=math.nan)


def _draw(axes: Axes, blocks: Blocks) -> None:
    """All bars of a class at once; row 0 on top, a block's bars side by side."""
    from matplotlib.collections import PolyCollection

    table, step = blocks.shares, 1 + GAP / ROW
    protections = [
        (str(m), None if math.isnan(t) else float(t))
        for m, t in zip(table["method"], table["t"], strict=True)
    ]
    block = np.array([blocks.protections.index(each) for each in protections])
    row = table["dtype"].map({dtype: k for k, dtype in enumerate(blocks.dtypes)}).to_numpy(float)
    place = np.searchsorted(blocks.bers, table["ber"].to_numpy(float))
    x = block * (len(blocks.bers) + 1) + place
    below = (len(blocks.dtypes) - 1 - row) * step
    for name in CLASSES:
        above = below + table[name].to_numpy(float)
        corners = [[x, below], [x, above], [x + 1, above], [x + 1, below]]
        shapes = np.array(corners).transpose(2, 0, 1)  # (bars, corners, 2)
        axes.add_collection(PolyCollection(list(shapes), facecolors=OUTCOMES[name][0], lw=0))
        below = above
    axes.set_xlim(-0.5, len(blocks.protections) * (len(blocks.bers) + 1) - 0.5)
    axes.set_ylim(-0.02, len(blocks.dtypes) * step)
    middles = [(len(blocks.dtypes) - 1 - k) * step + 0.5 for k in range(len(blocks.dtypes))]
    axes.set_yticks(middles, blocks.dtypes)
    axes.tick_params(axis="y", labelsize=drawing.TICK_SIZE, length=0, labelcolor=drawing.INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_keys(figure: Figure, bottom: float) -> None:
    from matplotlib.patches import Patch

    look: Any = {"fontsize": drawing.LABEL_SIZE, "labelcolor": drawing.INK, "frameon": False}
    figure.legend(
        [Patch(color=OUTCOMES[name][0]) for name in CLASSES],
        [_SAID[name] for name in CLASSES],
        loc="lower left",
        bbox_to_anchor=(0.06 / PAGE, bottom / float(figure.get_size_inches()[1])),
        ncols=len(CLASSES),
        borderaxespad=0,
        borderpad=0,
        handlelength=1.0,
        handleheight=0.8,
        **look,
    )


def _footnote(blocks: Blocks) -> str:
    bers = [rate_text(ber) for ber in blocks.bers]
    span = bers[0] if len(bers) == 1 else f"{bers[0]} to {bers[-1]}, {len(bers)} rates"
    return (
        f"Share of images, stacked to 100 %, at bit error rates from left to right: {span}. "
        "Masked: the same logits as without faults; benign: other logits, the same class; SDC: "
        "another class; DUE: a logit that is not finite."
    )
