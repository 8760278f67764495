"""Lines can be seen and text can be read, on both grounds."""

import re
from importlib.resources import files

from campaign.analysis.page.palette import DARK, LEAST, LIGHT, OUTCOMES, contrast, readable, rules
from campaign.analysis.styles import HUES, line_styles


def test_every_style_stands_out_on_its_ground() -> None:
    styles = line_styles([("none", None), *((f"m{k}", t) for k in range(8) for t in (1.0, 2.0))])
    css = rules(styles)
    blocks = re.findall(r":root[^{]*\{(--s0[^}]*)\}", css)
    assert len(blocks) == 4  # light, dark by system, dark by button, print
    for block, ground in zip(blocks, (LIGHT, DARK, DARK, LIGHT), strict=True):
        colors = dict(pair.split(":") for pair in block.split(";"))
        assert len(colors) == len(styles) + len(OUTCOMES)
        assert all(contrast(colors[f"--s{k}"], ground) >= LEAST for k in range(len(styles)))
    assert readable(HUES[0], LIGHT) == HUES[0]  # where it stands out, it is that of the figures


def test_text_has_the_contrast_of_text() -> None:
    css = (files("campaign.analysis.page") / "assets" / "page.css").read_text("utf-8")
    themes = re.findall(
        r"--ground:(#\w+);--raised:(#\w+);--ink:(#\w+);--soft:(#\w+);[^}]*--link:(#\w+)", css
    )
    assert len(themes) == 4
    for ground, raised, *text in themes:
        assert ground in (LIGHT, DARK)
        assert all(contrast(color, on) >= 4.5 for color in text for on in (ground, raised))
