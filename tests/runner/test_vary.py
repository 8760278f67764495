"""A campaign that varies faults and targets runs, resumes, grows and is told of as one."""

from __future__ import annotations

import pytest

from campaign.engines.stores.reader import read_results
from campaign.errors import DriftError
from campaign.runner.history import plan_with_history, status_of
from campaign.runner.replay import replay
from campaign.runner.report import order_of
from campaign.sources import MODELS
from campaign.spec.load import load

GRID = "  dtype: [fp32, q2_5]\n  method: [none, range_clamp]\n  ber: [1.0e-3, 1.0e-2]\n  seeds: 3\n"
VARIED = """\
  dtype: int8
  method: none
  ber: 1.0e-2
  seeds: 3
  vary: {bits: [7, 0]}
  include:
    - {vary: {layers: each, fault: {exact_flips: {count: 9}}}}
    - {vary: {lifetime: 30}}
"""


def test_a_varied_campaign_runs_resumes_grows_and_is_told_of(campaign, ear) -> None:
    campaign.edit(GRID, VARIED)
    result = campaign.run(ear=ear)
    assert (result.total, result.ok, result.exit_code) == (6 * 4, 6 * 4, 0)
    rows = read_results(campaign.results).to_pandas()
    sizes = {n: p.numel() for n, p in MODELS.make("digits_cnn").build().named_parameters()}
    layers = [name.removesuffix(".weight") for name in sizes if name.endswith(".weight")]
    whole = sum(sizes[f"{layer}.weight"] for layer in layers)
    words = {"weights; bits only: 7": whole, "weights; bits only: 0": whole, "weights": 8 * whole}
    words |= {f"weights; only {layer}.*": 8 * sizes[f"{layer}.weight"] for layer in layers}
    assert dict(zip(rows["targets"], rows["stored_bits"], strict=True)).keys() == words.keys()
    for targets, part in rows.groupby("targets"):
        maps = 4 if (part["fault"] == "bit_flip every 30 images").all() else 1
        assert set(part["exposed_bits"]) == {maps * words[targets]}, targets
        struck = part[part["ber"] > 0]
        if targets.startswith("weights; only"):
            assert set(struck["flipped_bits"]) == {9}
            assert set(struck["fault"]) == {"exact_flips(count=9)"}
        else:
            assert struck["flipped_bits"].mean() == pytest.approx(
                0.01 * maps * words[targets], rel=0.25
            )
    bits = ["weights; bits only: 7", "weights; bits only: 0"]
    listed = [*bits, *(f"weights; only {layer}.*" for layer in layers), "weights"]
    assert list(order_of(campaign.results).targets) == listed
    status = status_of(campaign.results)
    assert [(setup.ok, setup.total) for setup in status.setups] == [(4, 4)] * 6
    assert plan_with_history(load(campaign.path).spec, campaign.results).done == 24
    assert campaign.run().ran == 0
    campaign.edit("bits: [7, 0]", "bits: [7, sign, 0]")
    assert campaign.run().ran == 4
    one = rows[rows["targets"] == "weights; bits only: 7"].iloc[-1]
    assert replay(campaign.results, one["trial_id"]).differing == ()
    campaign.edit("vary: {bits: [7, sign, 0]}", "vary: {kinds: biases, fault: burst, lifetime: 2}")
    campaign.edit("    - {vary: {layers: each, fault: {exact_flips: {count: 9}}}}\n", "")
    campaign.edit("    - {vary: {lifetime: 30}}\n", "    - {ber: 0.1}\n")
    with pytest.raises(DriftError, match="fault: the results have"):
        campaign.run()
