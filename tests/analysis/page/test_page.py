"""The page shows what the rows say, in numbers that pandas finds too."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from campaign.analysis.page.methods_text import methods_text
from campaign.analysis.page.section import Section
from campaign.analysis.page.subject import Origin, Subject, gather
from campaign.analysis.page.write import SECTIONS, write_page
from campaign.analysis.rows import as_trials

Make = Callable[..., Any]
BERS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3)
SEEDS = 12
CLASSES = {"masked": "n_masked", "benign": "n_benign", "sdc": "n_sdc", "due": "n_nonfinite"}


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text("utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    return dict(json.loads(found[1]))


class Tables(HTMLParser):
    """The text of every table cell of a page, by section."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.section, self.open = "", False
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self.section = dict(attrs)["id"] or ""
        elif tag == "tr":
            self.rows.setdefault(self.section, []).append([])
        elif tag in ("td", "th"):
            self.rows[self.section][-1].append("")
            self.open = True

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.open:
            self.rows[self.section][-1][-1] += data


@pytest.fixture(scope="module")
def rows(make_points: Make, make_record: Make, to_frame: Make) -> pd.DataFrame:
    """Two formats, a method with two t, maps that all do harm or none, classes, failures."""
    random = np.random.default_rng(7)
    made = []
    for dtype in ("int8", "fp32"):
        for place, (method, t) in enumerate([("none", None), ("saf", 2.0), ("saf", 4.0)]):
            for ber in BERS:
                harm = -np.expm1(-ber / 10 ** (-4.5 + place / 2))
                hit = random.random(SEEDS if ber else 1) < harm
                good = 1.0 if dtype == "int8" else random.uniform(0.85, 0.93, len(hit))
                bad = 0.0 if dtype == "int8" else 0.1
                cost = {"check_bits": 125 * place, "n_weights": 31, "protection_operations": place}
                made += make_points(
                    np.where(hit, bad, good), ber, dtype=dtype, method=method, t=t, **cost
                )
    frame = to_frame(made)
    shares = random.dirichlet([1, 1, 1, 1], len(frame))
    counts = np.floor(shares * frame["n_samples"].to_numpy()[:, None]).astype(int)
    counts[:, 0] += frame["n_samples"] - counts.sum(axis=1)
    frame[list(CLASSES.values())] = counts
    frame["flipped_bits"] = random.integers(0, 10**6, len(frame))
    lost = [
        make_record(ber=1e-4, seed=99 + k, status="error", error_type="OSError", error="<disk>")
        for k in range(3)
    ]
    return pd.concat([frame, to_frame(lost)], ignore_index=True)


@pytest.fixture(scope="module")
def page(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    origin = Origin("a <b>", "what & why", "name: a\n", {"lifetime": "persistent"}, [])
    subject = replace(gather(as_trials(rows), origin=origin), files=["figures/accuracy_top1.svg"])
    return write_page(subject, tmp_path_factory.mktemp("page"))


def picked(rows: pd.DataFrame, data: dict[str, Any], curve: dict[str, Any]) -> pd.DataFrame:
    style = data["styles"][curve["style"]]
    same = (rows["dtype"] == data["dtypes"][curve["dtype"]]) & (rows["method"] == style["method"])
    return rows[same & (rows["t"].isna() if style["t"] is None else rows["t"] == style["t"])]


def test_every_cell_of_the_page_is_that_of_its_rows(rows: pd.DataFrame, page: Path) -> None:
    data, seen = data_of(page), 0
    for curve in data["curves"]:
        cells = curve["cells"]
        of_curve = picked(rows, data, curve)
        for k, place in enumerate(cells["ber"]):
            cell = of_curve[np.isclose(of_curve["ber"], data["bers"][place], rtol=1e-5)]
            good = cell[cell["status"] == "ok"]
            share = good["n_correct"] / good["n_samples"]
            wanted = {
                "mean": share.mean(),
                "sd": share.std(),
                "median": share.median(),
                "q05": share.quantile(0.05),
                "q95": share.quantile(0.95),
                **{n: good[c].sum() / good["n_samples"].sum() for n, c in CLASSES.items()},
            }
            for name, value in wanted.items():
                assert cells[name][k] == pytest.approx(value, abs=6e-6), name
            assert (cells["trials"][k], cells["failed"][k]) == (len(good), len(cell) - len(good))
            assert cells["flips"][k] == pytest.approx(good["flipped_bits"].mean(), rel=1e-5)
            assert cells["images"][k] == 10_000
            if data["dtypes"][curve["dtype"]] == "int8":  # maps at 0 or 1: Clopper and Pearson's
                right, n = int(share.sum()), len(share)
                low = beta.ppf(0.025, right, n - right + 1) if right else 0.0
                high = beta.ppf(0.975, right + 1, n - right) if right < n else 1.0
                assert cells["low"][k] == pytest.approx(low, abs=2e-3)
                assert cells["high"][k] == pytest.approx(high, abs=2e-3)
            seen += 1
    assert seen == 2 * 3 * 4
    assert sum(sum(c["cells"]["failed"]) for c in data["curves"]) == 3


def falls(bers: list[float], means: np.ndarray, target: float) -> float:
    """Where a curve first falls to `target`: 0 before the first rate, inf after the last."""
    for k, mean in enumerate(means):
        if mean <= target:
            if k == 0:
                return 0.0
            part = (means[k - 1] - target) / (means[k - 1] - mean)
            return float(bers[k - 1] * (bers[k] / bers[k - 1]) ** part)
    return math.inf


def test_every_curve_of_the_page_is_that_of_its_rows(rows: pd.DataFrame, page: Path) -> None:
    data, numbers = data_of(page), 0
    drawn = np.random.default_rng([SEEDS, 2000]).exponential(size=(2000, SEEDS))
    for curve in data["curves"]:
        good = picked(rows, data, curve).query("status == 'ok'")
        share = (good["n_correct"] / good["n_samples"]).to_numpy()
        table = good.assign(share=share).pivot(index="seed", columns="ber", values="share")
        clean = table[0.0].dropna().item()
        assert curve["clean"] == pytest.approx(clean, abs=6e-6)
        bers, values = list(BERS[1:]), table[list(BERS[1:])].to_numpy()
        first = good.iloc[0]
        assert curve["cost"]["memory"] == pytest.approx(first["check_bits"] / 1000, rel=1e-5)
        assert curve["cost"]["bits"] == pytest.approx((1000 + first["check_bits"]) / 31, rel=1e-5)
        assert curve["cost"]["operations"] == pytest.approx(
            first["protection_operations"] / 100_000, rel=1e-5
        )
        for drop, name in ((0.01, "ber_at_1pt"), (0.05, "ber_at_5pt")):
            weighed = (drawn / drawn.sum(axis=1, keepdims=True)) @ values
            each = sorted(falls(bers, means, clean - drop) for means in weighed)
            wanted = (falls(bers, values.mean(axis=0), clean - drop), each[50], each[-51])
            for told, value in zip(curve["tolerated"][name], wanted, strict=True):
                if isinstance(told, str):
                    assert told == ("< 1e-6" if value == 0 else "> 1e-3")
                    assert value == 0 or math.isinf(value)
                else:
                    assert told == pytest.approx(value, rel=1e-5)
                    numbers += 1
    assert numbers > 12


def test_the_first_table_says_what_the_data_says(page: Path) -> None:
    data, shown = data_of(page), Tables(page).rows["headline"][2:]
    assert len(shown) == len(data["curves"]) == 6
    for curve in data["curves"]:
        style = data["styles"][curve["style"]]
        name = ["resnet20", data["dtypes"][curve["dtype"]], style["label"]]
        row = next(row for row in shown if row[:3] == name)
        assert row[5] == f"{100 * curve['clean']:.2f}"
        assert row[8] == f"{100 * curve['cost']['memory']:.1f}"
        best = curve["tolerated"]["ber_at_5pt"][0]
        if isinstance(best, float):
            number = row[7].split(" [")[0].replace("\u00d710", "e").removeprefix("10")
            assert float(number if "e" in number else f"1e{number}") == pytest.approx(
                best, rel=0.05
            )


def test_text_from_outside_stays_text_and_nothing_is_requested(page: Path) -> None:
    text = page.read_text("utf-8")
    assert "<h1>a &lt;b&gt;</h1>" in text
    assert "<disk>" not in text
    assert Tables(page).rows["failures"][1][:4] == ["error", "OSError", "<disk>", "3"]
    assert "default-src 'none'" in text
    assert '<a href="figures/accuracy_top1.svg">accuracy_top1.svg</a>' in text
    assert set(re.findall(r"https?://[^\s\"'<)]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\ssrc=|@import|url\(", text)


def test_sections_stand_where_rows_hold_something(
    make_rows: Make, make_points: Make, to_frame: Make, tmp_path: Path
) -> None:
    def mine(subject: Subject) -> Section:
        return Section("mine", "Kept & sound", f"<p>{len(subject.trials)} trials</p>")

    clean = gather(as_trials(to_frame(make_points([0.9], 0.0))), "top5")
    page = write_page(clean, tmp_path, (mine, *SECTIONS))
    assert page.name == "report_top5.html"
    text = page.read_text("utf-8")
    assert re.findall(r'<section id="([a-z]+)"', text) == [
        "mine", "headline", "methods", "provenance"
    ]  # fmt: skip
    assert '<h2 id="mine-title">Kept &amp; sound</h2><p>1 trials</p>' in text
    whole = write_page(gather(as_trials(make_rows())), tmp_path).read_text("utf-8")
    assert re.findall(r'<section id="([a-z]+)"', whole) == [
        "headline", "curves", "outcomes", "cost", "methods", "provenance"
    ]  # fmt: skip


def test_the_methods_paragraph_says_what_was_done(rows: pd.DataFrame) -> None:
    text = methods_text(gather(as_trials(rows), interval="bootstrap"))
    for part in (
        "weights of resnet20 in the number formats int8 and fp32",
        "each exposed bit flips independently",
        "4 BERs from 1e-6 to 1e-3",
        "6 settings",
        "12 independent fault maps",
        "3 trials gave no result",
        "10,000 images of cifar10",
        "Bayesian bootstraps over maps",
        f"{len(rows):,} trials were run with campaign 0 on cpu",
    ):
        assert part in text, part


def test_estimates_are_told_with_what_they_cost(
    make_record: Make, to_frame: Make, tmp_path: Path
) -> None:
    free = {"n_samples": 1000, "n_fault_free": 900, "exposed_worst": 10, "flipped_worst": 0}
    made = [make_record(**free)]
    for seed in range(6):
        sampled = {
            **free,
            "n_samples": 100,
            "n_fault_free": 90,
            "n_correct": 85,
            "n_correct_top5": 95,
            "flipped_bits": 9,
        }
        made.append(make_record(ber=1e-2, seed=seed, **sampled))
    subject = gather(as_trials(to_frame(made)))
    page = write_page(subject, tmp_path)
    (curve,) = data_of(page)["curves"]
    assert curve["cells"]["mean"] == [pytest.approx(0.85, abs=1e-4)]
    assert curve["cells"]["sd"] == [None]
    (row,) = Tables(page).rows["sampling"][1:]
    assert row[1:] == ["1", "6", "600"]
    assert "judged on a sample of them" in methods_text(subject)
