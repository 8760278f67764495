"""Markdown and LaTeX that say what is in the cells and nothing else."""

import re

from matplotlib.mathtext import MathTextParser

from campaign.analysis.markup import Column, Grid, Number, latex, latex_text, markdown

NASTY = r"50%_of{a}#1 & $x$ ~^\ <b> | c"
GRID = Grid(
    (f"About {NASTY}",),
    [
        Column(("Name",), numeric=False),
        Column(("a",), "Both", "both "),
        Column((Number("1e-6"),), "Both", "both "),
        Column(("d",)),
    ],
    [
        [[(NASTY,), ("1",), ("2",), (Number("> 3.2e-5"),)]],
        [[("x",), ("-",), ("2",), (Number("1e-6"), " [", Number("2^127"), "]")]],
    ],
)


def unescaped(text: str) -> str:
    """What LaTeX would set for text without mathematics."""
    names = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^"}
    names |= {"textless": "<", "textgreater": ">", "textbar": "|"}
    text = re.sub(r"\\(text\w+)\{\}", lambda match: f"\0{names[match[1]]}\0", text)
    return re.sub(r"\\([&%$#_{}])", r"\1", text).replace("\0", "")


def test_latex_text_reads_back_and_holds_no_command() -> None:
    assert unescaped(latex_text(NASTY)) == NASTY
    bare = re.sub(r"\\text\w+\{\}|\\[&%$#_{}]", "", latex_text(NASTY))
    assert not set(bare) & set("\\&%$#_{}~^<>|")


def test_latex_rows_have_one_cell_for_each_column() -> None:
    lines = [line for line in latex(GRID).splitlines() if line.endswith(r"\\")]
    for line in lines:
        spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d)\}", line))
        assert len(re.findall(r"(?<!\\)&", line)) + 1 + spans == 4
    assert len(lines) == 4


def test_latex_groups_and_opens_match_their_ends() -> None:
    text = latex(GRID)
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert re.findall(r"\\begin\{([\w*]+)\}", text) == ["table*", "tabular"]
    assert re.findall(r"\\end\{([\w*]+)\}", text) == ["tabular", "table*"]
    assert r"\multicolumn{2}{c}{Both}" in text
    assert r"\cmidrule(lr){2-3}" in text
    rules = re.findall(r"\\(toprule|midrule|bottomrule)", text)
    assert rules == ["toprule", "midrule", "midrule", "bottomrule"]


def test_latex_numbers_are_mathematics() -> None:
    for formula in re.findall(r"(?<!\\)\$.*?(?<!\\)\$", latex(GRID)):
        MathTextParser("path").parse(formula)
    assert r"$> 3.2\times10^{-5}$" in latex(GRID)
    assert r"$10^{-6}$ [$2^{127}$]" in latex(GRID)


def test_markdown_rows_have_one_cell_for_each_column_and_equal_width() -> None:
    table = markdown(GRID).split("\n\n")[0].splitlines()
    assert len({len(line) for line in table}) == 1
    for line in table:
        assert len(re.findall(r"(?<!\\)\|", line)) == 5
    assert "| both 1e-6 |" in re.sub(" +", " ", table[0])
    assert re.fullmatch(r"\| -+ \| -+: \| -+: \| -+: \|", table[1])


def test_markdown_keeps_stars_and_bars_as_they_are() -> None:
    grid = Grid(("only *.a and *.b",), [Column(("x",))], [[[("a|b",)]]])
    assert r"a\|b" in markdown(grid)
    assert r"only \*.a and \*.b" in markdown(grid)
