"""The section of sensitivity studies: a small chart for each group, then the numbers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from campaign.analysis.labels import percent
from campaign.analysis.page.section import Section, escape, grid, links
from campaign.analysis.page.subject import Subject
from campaign.analysis.sensitivity import STUDIES
from campaign.analysis.sensitivity_table import for_people, same_label
from campaign.text import rate_text

ROW, PLOT, CHARACTER = 9, 230, 6.7
"""Height of a point, width of the plot and of a character, px."""


def sensitivity_studies(subject: Subject) -> Section | None:
    """What about faults matters: bit position, layer, kind, direction, burst, lifetime."""
    studied = subject.studied
    if studied is None or studied.empty:
        return None
    groups = studied.groupby("study", sort=False)
    parts = (_study(subject, str(name), part) for name, part in groups)
    note = (
        f'<p class="note">Drop in {subject.metric_name}, in points: without faults, of the same '
        "stored model, less the mean over fault maps; whiskers: the interval of that mean. Points "
        "of a group differ in nothing else. Curves and tables above show one of these variants "
        "alone.</p>"
    )
    return Section("sensitivity", "Sensitivity to where and how bits flip", note + "".join(parts))


def _study(subject: Subject, name: str, part: pd.DataFrame) -> str:
    title = STUDIES[name][0]
    charts = "".join(_chart(group, title) for _, group in part.groupby("group", sort=False))
    figures = [path for path in subject.files if f"/sensitivity_{name}_" in path]
    return (
        f'<h3 id="sensitivity-{name}">{escape(title)}</h3><div class="studies">{charts}</div>'
        "<details><summary>The numbers</summary>"
        f"{grid(for_people(part, subject.metric), name=title)}</details>{links(figures)}"
    )


class _Frame(NamedTuple):
    """Where the marks of a chart go, px."""

    values: list[str]
    bers: list[float]
    left: float
    low: float
    """Smallest drop shown, a share."""
    high: float

    @classmethod
    def of(cls, group: pd.DataFrame) -> _Frame:
        values = list(dict.fromkeys(group.sort_values("place", kind="stable")["value"]))
        ends = group[["drop", "drop_low", "drop_high"]].to_numpy(float)
        known = ends[np.isfinite(ends)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
        left = round(CHARACTER * max(len(value) for value in values)) + 8
        return cls(values, sorted(set(group["ber"])), left, min(0.0, low), max(0.01, high))

    @property
    def step(self) -> float:
        """Height of a value."""
        return 4 + ROW * len(self.bers)

    @property
    def height(self) -> float:
        return self.step * len(self.values)

    def across(self, drop: float) -> float:
        return self.left + PLOT * (drop - self.low) / (self.high - self.low)

    def down(self, value: str, ber: float) -> float:
        row = self.step * self.values.index(value)
        return row + 2 + ROW * (self.bers.index(ber) + 0.5)


def _chart(group: pd.DataFrame, title: str) -> str:
    """One group as SVG: rows of values, in each a point and whiskers for every rate."""
    frame, rows = _Frame.of(group), group.to_dict("records")
    width, height = frame.left + PLOT + 20, frame.height
    same, rates = same_label(rows[0]), ", ".join(rate_text(ber) for ber in frame.bers)
    told = f"BER {rates}" if len(frame.bers) == 1 else f"BER, downwards in a row: {rates}"
    zero = f'x1="{frame.across(0):.1f}" x2="{frame.across(0):.1f}" y1="0" y2="{height:.1f}"'
    return (
        f'<figure><svg role="img" aria-label="{escape(f"{title}: {same}")}" '
        f'viewBox="0 0 {width:.0f} {height + 20:.0f}" style="max-width:{width:.0f}px">'
        f'<line class="axis" {zero}/>{_texts(frame)}'
        f"{''.join(_mark(row, frame) for row in rows)}</svg>"
        f"<figcaption>{escape(same)}<br>{escape(told)}</figcaption></figure>"
    )


def _texts(frame: _Frame) -> str:
    """The names of rows, and what the ends of the axis are."""
    names = "".join(
        f'<text x="{frame.left - 6:.0f}" y="{frame.step * (k + 0.5) + 4:.1f}" text-anchor="end">'
        f"{escape(value)}</text>"
        for k, value in enumerate(frame.values)
    )
    ends = [end for end in (frame.low, frame.high) if abs(frame.across(end) - frame.across(0)) > 30]
    return names + "".join(
        f'<text class="soft" x="{frame.across(end):.1f}" y="{frame.height + 14:.1f}" '
        f'text-anchor="middle">{percent(end)}</text>'
        for end in (0.0, *ends)
    )


def _mark(row: Mapping[Hashable, Any], frame: _Frame) -> str:
    """A point and its whiskers, with its numbers for who points at it."""
    drop, low, high = (float(row[end]) for end in ("drop", "drop_low", "drop_high"))
    if not np.isfinite(drop):
        return ""
    y = frame.down(row["value"], row["ber"])
    told = f"{row['value']}, BER {rate_text(row['ber'])}: {percent(drop, 2)} points"
    whisker = ""
    if np.isfinite([low, high]).all():
        told += f" [{percent(low, 2)}, {percent(high, 2)}]"
        ends = f'x1="{frame.across(low):.1f}" x2="{frame.across(high):.1f}"'
        whisker = f'<line class="whisker" {ends} y1="{y:.1f}" y2="{y:.1f}"/>'
    point = f'<circle cx="{frame.across(drop):.1f}" cy="{y:.1f}" r="3"/>'
    return f'<g class="drop"><title>{escape(told)}</title>{whisker}{point}</g>'
