"""The colours of `styles` on a page, light or dark, and those of outcome classes."""

from __future__ import annotations

from collections.abc import Iterable

from campaign.analysis.styles import BASELINE, Protection, Style

LIGHT, DARK = "#FFFFFF", "#14171C"
"""Grounds of the page."""
LEAST = 3.0
"""Contrast of a line with its ground (WCAG 2.2, 1.4.11); names beside lines have the text's."""
OUTCOMES = {
    "masked": ("#D5DAE1", "#3A424D"),
    "benign": ("#8FA3B8", "#7C90A6"),
    "sdc": ("#D55E00", "#F0803C"),
    "due": ("#3B2E7E", "#B7A9F5"),
}
"""Class of outcome -> its colour on a light and on a dark ground: grey where no answer changed,
hues that differ in lightness too where one did."""


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21.

    Source: WCAG 2.2, relative luminance.

    Example:
        >>> contrast("#000000", "#FFFFFF")
        21.0
    """
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def readable(color: str, ground: str) -> str:
    """The colour, moved away from the ground until its contrast is `LEAST`."""
    away = 255 if _luminance(ground) < 0.2 else 0
    for step in range(21):
        mixed = _mixed(color, away, step / 20)
        if contrast(mixed, ground) >= LEAST:
            return mixed
    return mixed


def rules(styles: dict[Protection, Style]) -> str:
    """CSS that gives class ``s<k>`` the colour of the k-th style, and outcomes theirs."""
    light = [readable(style.color, LIGHT) for style in styles.values()]
    dark = [
        "#F2F4F7" if method == BASELINE else readable(style.color, DARK)
        for (method, _), style in styles.items()
    ]
    return _both(
        _rule([*light, *(pair[0] for pair in OUTCOMES.values())], len(light)),
        _rule([*dark, *(pair[1] for pair in OUTCOMES.values())], len(dark)),
    )


def _rule(colors: Iterable[str], styles: int) -> str:
    names = list(OUTCOMES)
    return ";".join(
        f"--{f's{place}' if place < styles else names[place - styles]}:{color}"
        for place, color in enumerate(colors)
    )


def _both(light: str, dark: str) -> str:
    """Variables for both grounds: as the reader's system has it, or as the button says."""
    return (
        f":root{{{light}}}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
        f":root[data-theme=dark]{{{dark}}}"
        f"@media print{{:root:root:root{{{light}}}}}"
    )


def _luminance(color: str) -> float:
    shares = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _mixed(color: str, away: int, share: float) -> str:
    channels = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(c + (away - c) * share):02X}" for c in channels)
