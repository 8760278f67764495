"""Panels stand in the order of the spec."""

from collections.abc import Callable
from typing import Any

from campaign.analysis.curves import curves
from campaign.analysis.order import Order
from campaign.analysis.panels import pages

Make = Callable[..., Any]


def test_what_is_listed_comes_first_and_the_rest_by_name() -> None:
    order = Order(models=("vgg", "alex"), dtypes=("fp32",))
    assert order.of_models(["alex", "vgg", "b", "a", "b"]) == ["vgg", "alex", "a", "b"]
    assert order.of_dtypes(["q2_5", "fp32", "bf16"]) == ["fp32", "bf16", "q2_5"]


def test_panels_follow_the_order(make_rows: Make) -> None:
    points = curves(make_rows(dtypes=["fp32", "fp16", "q2_5"], models=["b", "a"]))
    (page,) = pages(points, "top1", Order(("b", "a"), ("fp32", "fp16", "q2_5")))
    assert [[panel and panel.title for panel in row] for row in page.panels] == [
        [f"{model} · {dtype}" for dtype in ("fp32", "fp16", "q2_5")] for model in ("b", "a")
    ]
