"""The page in a browser: what is shown, heard and pressed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from campaign.analysis.page.subject import gather
from campaign.analysis.page.write import write_page
from campaign.analysis.rows import as_trials

pytestmark = pytest.mark.browser
Make = Callable[..., Any]
METHODS = (("none", None), ("saf", None), ("scaling", 2.0))


@pytest.fixture(scope="module")
def url(make_rows: Make, tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = make_rows(models=("a", "b"), dtypes=("fp32", "int8"), protections=METHODS)
    page: Path = write_page(gather(as_trials(rows)), tmp_path_factory.mktemp("page"))
    return page.as_uri()


def test_pointing_at_a_cell_tells_its_numbers(browser: Any, url: str) -> None:
    browser.open(url)
    told = """(() => {
      const box = byId("curves-chart"), frame = box.getBoundingClientRect();
      const curve = chosen("model", "dtype", "variant")[1], k = 2;
      box.scrollIntoView();
      const marks = box.querySelectorAll("svg > .series")[1].querySelectorAll(".mark");
      const at = marks[k].getBoundingClientRect();
      box.dispatchEvent(new PointerEvent("pointermove", {
        clientX: at.x + at.width / 2, clientY: at.y + at.height / 2 }));
      return [byId("tip").innerText, byId("tip").hidden, curve.cells.mean[k], curve.cells.low[k],
        curve.cells.high[k], curve.cells.trials[k], data.styles[curve.style].label];
    })()"""
    text, hidden, mean, low, high, maps, label = browser.evaluate(told)
    assert not hidden
    assert label in text
    assert f"{100 * mean:.2f} % [{100 * low:.2f}, {100 * high:.2f}]" in text
    assert f"{maps} maps of 10,000 images" in text
    browser.evaluate("byId('curves-chart').dispatchEvent(new PointerEvent('pointerleave'))")
    assert browser.evaluate("byId('tip').hidden")
    assert not browser.complaints()
    assert browser.requests() == [url]


def test_a_method_is_isolated_and_a_choice_is_followed_by_keyboard(browser: Any, url: str) -> None:
    browser.open(url, width=400, height=800, dark=True)
    dimmed = "document.querySelectorAll('#curves-chart .series.dim .line').length"
    assert browser.evaluate("document.querySelectorAll('#curves-legend button').length") == 3
    browser.evaluate("document.querySelectorAll('#curves-legend button')[1].focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                     windowsVirtualKeyCode=13)  # fmt: skip
    assert browser.evaluate(dimmed) == 2
    pressed = (
        "document.activeElement.getAttribute('aria-pressed') + document.activeElement.innerText"
    )
    assert browser.evaluate(pressed) == "truesaf"
    assert browser.evaluate("document.querySelectorAll('#outcomes-chart figure').length") == 1
    browser.evaluate("document.activeElement.click()")
    assert browser.evaluate(dimmed) == 0
    browser.evaluate("""(() => { const select = byId("curves-dtype"); select.value = 1;
      select.dispatchEvent(new Event("change")); })()""")
    assert browser.evaluate("byId('outcomes-dtype').value") == "1"
    browser.evaluate("byId('curves-chart').focus()")
    for _ in range(2):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight")
    assert browser.evaluate("byId('tip').innerText").startswith("none\nBER 10⁻⁶: ")
    browser.evaluate("byId('curves-table').open = true")
    browser.evaluate("new Promise(done => setTimeout(done, 50))")
    assert browser.evaluate("byId('curves-table').querySelectorAll('tbody th').length") == 3
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert browser.evaluate(ground) == "rgb(20, 23, 28)"
    browser.evaluate("byId('theme').click()")
    assert browser.evaluate(ground) == "rgb(255, 255, 255)"
    assert not browser.complaints()
