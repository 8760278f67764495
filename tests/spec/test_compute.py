"""What a spec may ask of the arithmetic, and what it changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.spec.expand import expand
from campaign.spec.identity import Digests, campaign_identity, setup_identity
from campaign.spec.load import load

SPEC = """\
name: x
models: digits_cnn
dataset: digits
grid: {dtype: fp32, method: none, ber: 1e-6}
evaluation: {compute: COMPUTE}
"""
DIGESTS = Digests({"digits_cnn": "c" * 64}, "d" * 64)
EVALUATION = "evaluation: {compute: "
REFUSED = {
    "rounded before they are stored": (
        {"name: x": f"name: x\ntargets: {{activations: true}}\n{EVALUATION}bf16}}"},
        "3:14: evaluation.compute: bf16 rounds activations before they are stored; take fp32 or "
        "tf32, or leave out targets.activations",
    ),
    "tf32 without a GPU": (
        {"name: x": f"name: x\nengine: {{gpus_per_worker: 0}}\n{EVALUATION}tf32}}"},
        "3:14: evaluation.compute: tf32 is an arithmetic of CUDA devices, and "
        "engine.gpus_per_worker is 0",
    ),
}


@pytest.mark.parametrize(("changes", "line"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_meaning_is_told_in_one_line(
    problems: Callable[[dict[str, str]], list[str]], changes: dict[str, str], line: str
) -> None:
    assert problems(changes) == [line]


def test_the_arithmetic_is_part_of_the_identity_where_it_is_not_float32(tmp_path: Path) -> None:
    found = {}
    for compute in ("fp32", "bf16"):
        path = tmp_path / f"{compute}.yaml"
        path.write_text(SPEC.replace("COMPUTE", compute), "utf-8")
        found[compute] = expand(load(path).spec)
    (plain,), (half,) = found.values()
    same = setup_identity(plain.setup, DIGESTS)
    assert "compute" not in same
    assert setup_identity(half.setup, DIGESTS) == {**same, "compute": "bf16"}
    assert campaign_identity([half], DIGESTS)["compute"] == "bf16"
    assert half.setup.label.endswith("compute=bf16")
