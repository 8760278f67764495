"""A spec written back is plain JSON and stands for an equal spec."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.spec.campaign import CampaignSpec
from campaign.spec.load import Loaded
from campaign.spec.template import template
from campaign.spec.write import resolved

Read = Callable[..., Loaded]
FULL = """\
name: full
models: [digits_cnn, {digits_cnn: {}, name: again}]
dataset: digits
grid:
  dtype: [fp32, {int8: {per: channel}}, q2_5]
  method: [none, weight_scaling, [range_clamp, parity], {saf: {function: softsign}}]
  ber: {logspace: [1e-6, 1e-3], per_decade: 2}
  seeds: [5, 9]
  t: {fp32: [max, 2^100], '*': 2}
  nonfinite: [zero, clamp]
  clean: no
  exclude:
    - {dtype: int8*, method: weight_scaling}
    - {method: none, ber: 1e-6, seed: 5, t: null}
  include:
    - {dtype: fp16, method: parity, seeds: {start: 3, count: 4}, ber: 0.5}
targets: {exempt_bits: [0, sign], include: conv*}
engine: {executor: inline, workers: 3}
evaluation: {subset: 100}
"""


@pytest.mark.parametrize("text", [FULL, template()], ids=["full", "template"])
def test_a_resolved_spec_is_json_and_makes_an_equal_spec(read: Read, text: str) -> None:
    spec = read(text).spec
    plain = read(text).resolved()
    assert CampaignSpec.model_validate(plain) == spec
    again = read(yaml.safe_dump(plain)).spec
    assert again == spec
    assert resolved(again) == plain


def test_a_resolved_spec_shows_components_with_their_options(read: Read) -> None:
    plain = read(FULL).resolved()
    assert plain["models"] == [{"digits_cnn": {}}, {"digits_cnn": {}, "name": "again"}]
    assert plain["grid"]["method"][2] == [{"range_clamp": {}}, {"parity": {}}]
    assert plain["grid"]["dtype"][1] == {"int8": {"per": "channel"}}
    assert plain["grid"]["include"][0]["seeds"] == {"start": 3, "count": 4}
    assert plain["fault"] == {"bit_flip": {}}
    assert plain["engine"]["batch_seconds"] == 5.0


def test_every_method_can_be_named_alone_or_with_its_defaults(read: Read) -> None:
    for cls in METHODS:
        axis = {"1e-6": "1e-6\n  t: 2"} if cls.takes_t else {}
        if METHODS.make(cls.name).refusal(FORMATS.make("fp32")) is not None:
            axis["dtype: fp32"] = "dtype: int8"
        axis["name: x"] = "name: x\nprofile: {images: 9}"
        if METHODS.make(cls.name).fits:
            axis["name: x"] += "\ntraining: {dataset: {digits: {split: train}}}"
        short = read({"method: none": f"method: {cls.name}", **axis}).spec
        long = read({"method: none": f"method: {{{cls.name}: {{}}}}", **axis}).spec
        assert short == long
