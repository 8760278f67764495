"""What a grid may vary: each point is what a campaign that has it alone gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from campaign.sources import MODELS
from campaign.spec.expand import SetupGrid, expand
from campaign.spec.identity import Digests, campaign_identity, drift, identify, setup_id, widened
from campaign.spec.load import Loaded
from campaign.spec.write import resolved

Read = Callable[..., Loaded]
Problems = Callable[..., list[str]]
DIGESTS = Digests({"digits_cnn": "c" * 64}, "d" * 64)
BER = "  ber: 1e-6\n"


def varied(vary: str, more: str = "") -> dict[str, str]:
    return {BER: f"{BER}  vary: {vary}\n{more}"}


def grids_of(read: Read, text: dict[str, str], **rest: Any) -> list[SetupGrid]:
    return expand(read(text, **rest).spec)


def labels(grids: list[SetupGrid]) -> list[tuple[str, str]]:
    return [(grid.setup.fault_name, grid.setup.targets.label) for grid in grids]


def test_each_point_has_the_id_of_a_campaign_that_has_it_alone(read: Read) -> None:
    alone = {
        "targets: {only_bits: [30]}": "{bits: 30}",
        "targets: {only_bits: [exponent]}": "{bits: [exponent]}",
        "targets: {include: conv1.*}": "{layers: conv1.*}",
        "targets: {exempt_bits: [exponent_msb]}": "{exempt_bits: [[exponent_msb]]}",
        "targets: {exempt_bits: [3, sign]}": "{exempt_bits: [[3, sign]]}",
        "targets: {exempt_bits: []}": "{exempt_bits: [[]]}",
        "targets: {weights: false, biases: true}": "{kinds: biases}",
        "targets: {biases: true}": "{kinds: biases+weights}",
        "fault: {burst: {length: 4}}": "{fault: {burst: {length: 4}}}",
        "lifetime: 10": "{lifetime: 10}",
        "fault: stuck_at\nlifetime: 10\ntargets: {only_bits: [3], include: conv1.*}": (
            "{fault: [stuck_at], lifetime: [10], bits: [3], layers: [conv1.*]}"
        ),
    }
    for text, vary in alone.items():
        (one,) = grids_of(read, {BER: f"{BER}{text}\n"})
        (other,) = grids_of(read, varied(vary))
        assert setup_id(one.setup, DIGESTS) == setup_id(other.setup, DIGESTS), vary
        assert campaign_identity([one], DIGESTS) == campaign_identity([other], DIGESTS), vary


def test_all_combinations_are_made_and_each_bit_is_of_its_format(read: Read) -> None:
    text = varied(
        "{bits: each, lifetime: [persistent, 5]}", "targets: {exempt_bits: [sign], biases: true}\n"
    )
    found = labels(grids_of(read, {"dtype: fp32": "dtype: [fp16, int8]", **text}))
    faults = ("bit_flip", "bit_flip every 5 images")
    told = "weights+biases; bits exempt: sign; bits only: "
    places = [*reversed(range(15)), *reversed(range(7))]
    assert found == [(fault, f"{told}{bit}") for bit in places for fault in faults]
    both = grids_of(read, varied("{fault: [bit_flip, burst], kinds: [weights, biases]}"))
    assert labels(both) == [(f, k) for k in ("weights", "biases") for f in ("bit_flip", "burst")]
    assert len({grid.setup.setup_id for grid in identify(both, DIGESTS)}) == 4


def test_an_included_part_adds_its_variants_to_the_grid(read: Read) -> None:
    bits = "{vary: {bits: [sign, 3]}, ber: [1e-3, 1e-2], seeds: 4}"
    part = f"  include:\n    - {bits}\n    - {{ber: 0.5}}\n"
    grids = grids_of(read, {BER: BER + part})
    assert labels(grids) == [
        ("bit_flip", "weights"),
        ("bit_flip", "weights; bits only: sign"),
        ("bit_flip", "weights; bits only: 3"),
    ]
    bers = [[cell.ber for cell in grid.cells] for grid in grids]
    assert bers == [[0.0, 1e-6, 0.5], [0.0, 1e-3, 1e-2], [0.0, 1e-3, 1e-2]]
    assert [len(cell.seeds) for cell in grids[1].cells] == [1, 4, 4]
    ruled = (
        "  exclude: {targets: '*bits only*', fault: burst*}\n"
        "  vary: {bits: [1, 2], fault: [bit_flip, burst]}\n"
    )
    left = labels(grids_of(read, {BER: BER + ruled}))
    assert left == [("bit_flip", f"weights; bits only: {bit}") for bit in (1, 2)]


def test_each_layer_is_a_part_of_the_network_and_all_together_are_the_whole(read: Read) -> None:
    files = {"x.pt": ""}
    network = "{files: {architecture: cifar_resnet20, weights: x.pt, normalize: imagenet}, name: r}"
    for more, kinds in (("", ("weights",)), ("fold_batchnorm: true\n", ("biases",))):
        text = {"models: digits_cnn": f"models: {network}", **varied("{layers: each}", more)}
        text[BER] += (
            f"targets: {{weights: {'true' if kinds == ('weights',) else 'false'}, biases: true}}\n"
        )
        grids = grids_of(read, text, files=files)
        module = MODELS.make(
            "files", {"architecture": "cifar_resnet20", "weights": "x.pt", "normalize": "imagenet"}
        ).build()
        convolutions = [
            n for n, m in module.named_modules() if type(m).__name__ in ("Conv2d", "Linear")
        ]
        assert [grid.setup.targets.include for grid in grids] == [(f"{n}.*",) for n in convolutions]


NESTED = """\
from torch import nn


class Outer(nn.Linear):
    def __init__(self) -> None:
        super().__init__(2, 3)
        self.inner = nn.Linear(3, 4)


def make() -> nn.Module:
    return nn.Sequential(Outer(), nn.LayerNorm(3))
"""


def test_a_layer_that_holds_other_layers_is_told_by_its_own_parameters(read: Read) -> None:
    network = "{files: {architecture: 'net.py:make', weights: x.pt, normalize: imagenet}}"
    text = {"models: digits_cnn": f"models: {network}", **varied("{layers: each}")}
    text[BER] += "targets: {biases: true, norms: true}\n"
    grids = grids_of(read, text, files={"net.py": NESTED, "x.pt": ""})
    assert [grid.setup.targets.include for grid in grids] == [
        ("0.weight", "0.bias"),
        ("0.inner.*",),
        ("1.*",),
    ]


def test_a_resolved_spec_is_read_back_as_it_was(read: Read) -> None:
    spec = read(
        varied(
            "{bits: [each], fault: [{burst: {length: 3}}], lifetime: [1, persistent], kinds: norms}"
        )
    ).spec
    plain = json.loads(json.dumps(resolved(spec)))
    assert plain["grid"]["vary"]["fault"] == [{"burst": {"length": 3}}]
    assert resolved(type(spec).model_validate(plain)) == plain


def test_values_may_be_added_to_what_varies_and_not_exchanged(read: Read) -> None:
    def identity(vary: str) -> dict[str, Any]:
        return dict(campaign_identity(grids_of(read, varied(vary)), DIGESTS))

    one, two = (
        identity("{fault: bit_flip}"),
        identity("{fault: [bit_flip, burst], lifetime: [5, 6]}"),
    )
    held = json.loads(json.dumps(one))
    (line,) = drift(held, two)
    assert line.startswith("lifetime: ")
    lasting = identity("{fault: [bit_flip, burst], lifetime: [persistent, 5]}")
    assert drift(held, lasting) == drift(lasting, held) == []
    wide = json.loads(json.dumps(widened(held, lasting)))
    assert drift(wide, identity("{fault: burst, lifetime: 5}")) == []
    (line,) = drift(wide, identity("{fault: stuck_at, lifetime: 5}"))
    assert line.startswith("fault: ")
    assert widened(wide, one) == wide


@pytest.mark.parametrize(
    ("vary", "line"),
    [
        ("{bits: []}", "8:10: grid.vary.bits: got an empty list"),
        ("{bits: [32]}", "8:17: grid.vary.bits[0]: fp32 has no bit 32; allowed: 0..31"),
        ("{bits: eech}", "8:10: grid.vary.bits: fp32 has no bits 'eech'; allowed: exponent"),
        ("{bits: [each, 3]}", "8:23: grid.vary.bits[1]: each stands for all of them; leave 3 out"),
        ("{bits: [3, 3]}", "8:20: grid.vary.bits[1]: 3 stands twice"),
        ("{fault: [burst, burst]}", "8:25: grid.vary.fault[1]: burst stands twice"),
        ("{exempt_bits: [[3], [3]]}", "8:29: grid.vary.exempt_bits[1]: [3] stands twice"),
        ("{exempt_bits: [[sgn]]}", "8:24: grid.vary.exempt_bits[0]: fp32 has no bits 'sgn'"),
        (
            "{exempt_bits: [[], [sign, exponent, mantissa]]}",
            "8:28: grid.vary.exempt_bits[1]: no bit of fp32 is left that could flip",
        ),
        (
            "{exempt_bits: [[sign]], bits: each}",
            "8:10: grid.vary.exempt_bits: varied together with bits",
        ),
        ("{kinds: wieghts}", "8:10: grid.vary.kinds: got 'wieghts'; allowed: weights, biases"),
        ("{lifetime: 0}", "8:10: grid.vary.lifetime: got 0; allowed: persistent or"),
        ("{kinds: norms, layers: each}", "8:24: grid.vary.layers: digits_cnn has no layer with"),
        (
            "{fault: {chip_map: {file: x.csv, cells: 9}}}",
            "8:10: grid.vary.fault: chip_map reads",
        ),
        ("{fualt: burst}", "8:10: grid.vary.fualt: unknown key 'fualt' (did you mean 'fault'?)"),
    ],
)
def test_what_cannot_be_varied_is_told_in_one_line(
    problems: Problems, vary: str, line: str
) -> None:
    (found,) = problems(varied(vary))
    assert found.startswith(line), found


def test_a_rate_that_says_nothing_is_refused_where_it_stands(problems: Problems) -> None:
    count = "{fault: {exact_flips: {count: 3}}}"
    part = f"  include: {{vary: {count}, ber: [1e-3, 1e-2]}}\n"
    (line,) = problems({BER: BER + part})
    assert line.startswith("8:")
    assert "flips as many bits at any rate; give one rate above 0" in line
    (line,) = problems({"ber: 1e-6\n": f"ber: [1e-6, 1e-5]\n  vary: {count}\n"})
    assert line.startswith("7:")
