"""Accuracy against bit error rate, as PNG, SVG and PDF for a column or a page of a paper."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from campaign.analysis import drawing
from campaign.analysis.curves import curves
from campaign.analysis.layout import COLUMN, LEGEND_HANDLE, PAGE, Box, Label, Layout, arrange
from campaign.analysis.lettering import broken, text_width, write
from campaign.analysis.order import Order
from campaign.analysis.panels import Page, Panel, pages
from campaign.analysis.rows import METRIC_NAMES, Metric
from campaign.analysis.statistics import IntervalName
from campaign.analysis.styles import Protection, Style, line_styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INTERVALS: dict[IntervalName, str] = {
    "bounded": "interval of the mean, allowing for fault maps not seen",
    "bootstrap": "bootstrap interval of the mean (the other, wider one where all seeds agree)",
}
SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "svg.hashsalt": "campaign",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "path.simplify": False,
}
"""Beside matplotlib's own defaults; a user's matplotlibrc has no say."""
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}
"""Ending of a file -> what is left out of it, for it would differ from run to run."""


def write_figures(
    rows: object,
    folder: Path,
    metric: Metric = "top1",
    *,
    interval: IntervalName = "bounded",
    order: Order = Order(),  # noqa: B008 - immutable
) -> list[Path]:
    """Draw accuracy against BER: a panel for each model and dtype, a line for each protection.

    Variants (dataset, non-finite policy, fault model, targets) have figures of their own. The same
    rows give the same bytes.

    Args:
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        folder: Where the files go; made where it is missing.
        metric: ``top1`` or ``top5``.
        interval: How the bands are made; see `statistics.mean_interval`.
        order: In which order panels stand.

    Returns:
        The files, ``accuracy_<metric>[_<variant>].png`` (200 dpi), ``.svg`` and ``.pdf``; none
        where there is no BER above 0.

    Raises:
        CampaignError: If the rows cannot be analysed; see `rows.as_trials`.
    """
    points = curves(rows, interval=interval)
    return draw_points(points, folder, metric, interval, order)


def draw_points(
    points: pd.DataFrame,
    folder: Path,
    metric: Metric,
    interval: IntervalName,
    order: Order = Order(),  # noqa: B008 - immutable
) -> list[Path]:
    """The same from what `curves.curves` gave for `interval`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with under_settings():
        for name, figure in figures_of(points, metric, interval, order).items():
            stem = f"accuracy_{metric}" + (f"_{name}" if name else "")
            written += save(figure, folder / stem)
    return written


def figures_of(
    points: pd.DataFrame,
    metric: Metric,
    interval: IntervalName,
    order: Order = Order(),  # noqa: B008 - immutable
) -> dict[str, Figure]:
    """The figures that `write_figures` would write, by variant, which is empty for a lone one."""
    made = pages(points, metric, order)
    styles = line_styles(
        line.protection for page in made for panel in _held(page) for line in panel.lines
    )
    with under_settings():
        return {page.name: draw_page(page, metric, interval, styles) for page in made}


@contextmanager
def under_settings() -> Iterator[None]:
    """Matplotlib as figures are made and written under."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        yield


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG (200 dpi), SVG and PDF, the same bytes each time."""
    written = []
    for ending, options in _METADATA.items():
        written.append(stem.with_name(f"{stem.name}.{ending}"))
        figure.savefig(written[-1], dpi=200, metadata=options)
    return written


def draw_page(
    page: Page, metric: Metric, interval: IntervalName, styles: Mapping[Protection, Style]
) -> Figure:
    """One figure, not yet written, to be made under `SETTINGS`; `styles` covers the page."""
    from matplotlib.figure import Figure

    panels = _held(page)
    shown = {line.protection for panel in panels for line in panel.lines}
    used = {key: style for key, style in styles.items() if key in shown}
    count = sum(len(row) for row in page.panels)
    most = 78 if count == 1 else 165  # of characters; letters are wider on average than figures
    most -= 6 if "estimated" in page.points else 0
    notes = textwrap.wrap(_footnote(page, panels, _bounds(page, metric, interval), metric), most)
    room = (COLUMN if count == 1 else PAGE) - LEGEND_HANDLE - 0.12
    labels = [broken(drawing.label_of(key), room) for key in used]
    layout = arrange(
        [len(row) for row in page.panels],
        lines=max(len(panel.lines) for panel in panels),
        labels=labels,
        footnotes=len(notes),
        titled=bool(page.title),
    )
    figure = Figure(figsize=(layout.width, layout.height))
    _draw_panels(figure, page, layout, used)
    _draw_names(figure, page, layout, METRIC_NAMES[metric])
    if not layout.direct:
        _draw_legend(figure, layout, labels, list(used.values()))
    write(figure, 0.06, layout.footnote_bottom, "\n".join(notes), size=6.0, va="bottom")
    return figure


def _bounds(page: Page, metric: Metric, interval: IntervalName) -> str:
    """What the intervals are; an estimate has one kind only."""
    estimated = "estimated" in page.points and metric == "top1"
    return INTERVALS["bounded" if estimated else interval]


def _held(page: Page) -> list[Panel]:
    return [panel for row in page.panels for panel in row if panel is not None]


def _draw_panels(
    figure: Figure, page: Page, layout: Layout, styles: Mapping[Protection, Style]
) -> None:
    frame = drawing.frame_of(_held(page))
    cells = _cells(page, layout)
    for box, panel in cells:
        axes = figure.add_axes(
            (
                box.left / layout.width,
                box.bottom / layout.height,
                box.width / layout.width,
                box.height / layout.height,
            )
        )
        if panel is None:
            axes.set_axis_off()
            axes.text(0.5, 0.5, "not run", ha="center", va="center", size=7, color=drawing.FAINT)
            continue
        drawing.draw_panel(axes, panel, frame, box, styles)
        if layout.direct:
            drawing.label_lines(axes, panel, frame, box, styles)
        axes.tick_params(
            labelbottom=box in _outermost(cells, "column"),
            labelleft=box in _outermost(cells, "row"),
        )
        room = layout.width - box.left if len(cells) == 1 else box.width
        size = min(drawing.TITLE_SIZE, 10 * room / text_width(panel.title, 10))
        write(figure, box.left, box.bottom + box.height + 0.05, panel.title, size=size)


def _cells(page: Page, layout: Layout) -> list[tuple[Box, Panel | None]]:
    return list(zip(layout.boxes, (panel for row in page.panels for panel in row), strict=True))


def _outermost(cells: list[tuple[Box, Panel | None]], of: Literal["row", "column"]) -> set[Box]:
    """The panels that carry tick labels: leftmost of each row, or lowest of each column."""
    held = [box for box, panel in cells if panel is not None]
    if of == "row":
        return set({box.row: box for box in reversed(held)}.values())
    return set({box.column: box for box in held}.values())


def _draw_names(figure: Figure, page: Page, layout: Layout, metric_name: str) -> None:
    """The names of the axes and of the page."""
    for box in _outermost(_cells(page, layout), "column"):
        middle = box.left + box.width / 2
        write(figure, middle, box.bottom - 0.36, "bit error rate", size=7.5, ha="center")
    top, bottom = layout.boxes[0].bottom + layout.boxes[0].height, layout.boxes[-1].bottom
    name = f"{metric_name} (%)"
    write(figure, 0.06, (top + bottom) / 2, name, size=7.5, va="center", rotation=90)
    if page.title:
        left = layout.boxes[0].left
        size = min(8.0, 9 * (layout.width - left) / text_width(page.title, 10))
        write(figure, left, layout.height - 0.17, page.title, size=size, weight="bold")


def _draw_legend(figure: Figure, layout: Layout, labels: list[Label], styles: list[Style]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=style.color, ls=style.dash, marker=style.marker, lw=1.1, ms=3.5)
        for style in styles
    ]
    figure.legend(
        handles,
        [label.text for label in labels],
        loc="lower left",
        bbox_to_anchor=(0.06 / layout.width, layout.legend_bottom / layout.height),
        ncols=layout.legend_columns,
        fontsize=drawing.LABEL_SIZE,
        labelcolor=drawing.INK,
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        handlelength=2.6,
        handletextpad=0.6,
        columnspacing=1.2,
        labelspacing=0.3,
    )


def _level(page: Page, metric: Metric) -> str:
    """Nominal coverage of the intervals, in percent."""
    estimated = "estimated" in page.points and metric == "top1"
    return f"{100 * page.points['confidence'].iloc[0]:g}" if estimated else "95"


def _footnote(page: Page, panels: list[Panel], bounds: str, metric: Metric) -> str:
    """What the lines and bands are, and what is not in them."""
    seeds = page.points.loc[page.points["n_trials"] > 0, "n_trials"]
    least, most = (int(seeds.min()), int(seeds.max())) if len(seeds) else (0, 0)
    number = f"{most}" if least == most else f"{least} to {most}"
    estimated = "estimated" in page.points and metric == "top1"
    several = int(page.points["n_trainings"].max()) if "n_trainings" in page.points else 1
    unit = "seed" if several == 1 else "trial"
    text = (
        f"{'Estimated mean' if estimated else 'Mean'} over {number} {unit}"
        f"{'' if most == 1 else 's'}"
    )
    if several > 1:
        text += f" (fault maps, and up to {several} trainings: interval by Student's t)"
    if "estimated" in page.points:
        text += ", each on some of the images"
    alone = all(len(line.ber) == 1 for panel in panels for line in panel.lines)
    mark = "bars" if alone else "bands"
    text += "; no intervals." if most < 2 else f"; {mark}: {_level(page, metric)} % {bounds}."
    if most > 1 and not all(drawing.has_bands(panel) for panel in panels):
        text += (
            f" Left out where a panel has more than {drawing.MOST_BANDS} curves: see points.csv."
        )
    if "estimated" in page.points and (count := int((page.points["stop"] == "max_seeds").sum())):
        text += (
            f" {count} point{'' if count == 1 else 's'} given up at max_seeds, wider than wanted."
        )
    failed = int(page.points["n_failed"].sum())
    if failed:
        text += f" {failed} failed trial{'' if failed == 1 else 's'} left out"
        left = page.points.loc[page.points["n_failed"] > 0, "n_trials"] > 0
        text += "; hollow: some failed" if left.any() else ""
        text += "." if left.all() else "; x: all failed."
    frame = drawing.frame_of(panels)
    if any(share > 1 for panel in panels for _, share in drawing.turns(panel, frame)):
        text += " Lines that coincide are drawn in turns."
    return text
