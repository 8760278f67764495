"""Published numbers follow the schema, and name what exists."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from campaign.errors import SpecError
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.published import load_published
from campaign.published.load import FOLDER
from campaign.sources import MODELS

GOOD = """
- cite: Someone 2030
  arxiv: "2001.00001"
  settled_by: a run
  claims:
    - {id: a, about: drop, quantity: other, unit: percent, value: 1.50, where: table 1, tag: table}
"""


def test_every_published_number_has_a_source_and_a_condition_that_rows_can_have() -> None:
    publications = load_published()
    claims = [claim for publication in publications for claim in publication.claims]
    assert len(claims) > 80
    assert {"2411.18993", "2411.19027", "2006.13977"} <= {p.arxiv for p in publications}
    specs = re.findall(r"specs/\w+\.yaml", " ".join(p.settled_by for p in publications))
    assert all((Path(__file__).parents[2] / name).exists() for name in specs)
    for claim in claims:
        if claim.measurable:
            assert FORMATS.make(*_parts(claim.dtype)).label == claim.dtype
            named = [name.rstrip("*").split("(")[0] for name in claim.method]
            assert [METHODS.find(name)[0].name for name in named] == named
        for source in (claim.model and claim.model.source) or {}:
            assert MODELS.find(source)
    headline = next(c for c in claims if c.id == "weight_scaling_resnet50_q2_5_gain")
    assert (headline.value, headline.ber) == (Decimal("54.418"), Decimal("1e-4"))
    assert headline.t is headline.maps is headline.nonfinite is None


def _parts(label: str) -> tuple[str, dict[str, str]]:
    name, _, options = label.rstrip(")").partition("(")
    return name, dict(pair.split("=") for pair in options.split(", ")) if options else {}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("value: 1.50", "value: 1.50, high: 2", "low and high come together"),
        ("value: 1.50", "value: 1.50, at_most: 2", "state one of value"),
        ("value: 1.50, ", "", "state one of"),
        ("value: 1.50", "low: 1", "low and high come together"),
        ("unit: percent, ", "", "numbers have a unit"),
        ("tag: table", "tag: figure", "reading_error"),
        ("tag: table", "tag: hearsay", "'text', 'table'"),
        ("quantity: other", "quantity: top1", "top1 needs model, dataset, dtype, method, ber"),
        ("value: 1.50", "value: nan", "finite"),
        ("id: a", "id: a, guess: 1", "Extra inputs"),
        ('arxiv: "2001.00001"', "year: 2030", "Extra inputs"),
        ('  arxiv: "2001.00001"\n', "", "state arxiv or venue"),
        (GOOD, "cite: Someone", "got no list"),
        ("tag: table}", "tag: table", "is not YAML"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, old: str, new: str, told: str) -> None:
    (tmp_path / "x.yaml").write_text(GOOD.replace(old, new, 1), "utf-8")
    with pytest.raises(SpecError, match=r"x\.yaml") as refused:
        load_published(tmp_path)
    assert told in str(refused.value)


def test_digits_are_kept_and_ids_are_unique(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD, "utf-8")
    (claim,) = load_published(tmp_path)[0].claims
    assert (claim.text, claim.error) == ("1.50", 0.005)
    (tmp_path / "again").mkdir()
    for name in ("x", "y"):
        (tmp_path / "again" / f"{name}.yaml").write_text(GOOD, "utf-8")
    with pytest.raises(SpecError, match="'a' stands there twice"):
        load_published(tmp_path / "again")
    assert FOLDER.name == "published"
