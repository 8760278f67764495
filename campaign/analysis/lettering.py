"""Text of figures: how wide it is, and put at places in inches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from campaign.analysis import drawing
from campaign.analysis.layout import Label

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(figure: Figure, left: float, bottom: float, text: str, **style: Any) -> None:  # noqa: ANN401
    """Text at a place given in inches."""
    width, height = figure.get_size_inches()
    figure.text(left / width, bottom / height, text, **{"color": drawing.INK, **style})


def broken(text: str, room: float) -> Label:
    """A label, broken after + , and ( where it is wider than `room` inches."""
    lines = [""]
    for piece in re.split(r"(?<=[+,( ])", text):
        if lines[-1] and text_width(lines[-1] + piece) > room:
            lines.append("")
        lines[-1] += piece
    return Label("\n".join(lines), max(text_width(line) for line in lines), len(lines))


def text_width(text: str, size: float = drawing.LABEL_SIZE) -> float:
    """How wide a text is, inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), text.strip(), size=size, prop=FontProperties(family="DejaVu Sans"))
    return float(path.get_extents().width) / 72
