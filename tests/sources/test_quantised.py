"""Weights as int8 with a scale per output channel, against a loop in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from campaign.errors import SetupError
from campaign.formats import FORMATS
from campaign.sources import MODELS
from campaign.sources.checkpoints import fit_names

Tensors = dict[str, Tensor]
EPSILON = 1e-3


def network() -> nn.Sequential:
    """A convolution with a bias of its BatchNorm, one with a bias of its own, a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 1),
        nn.BatchNorm2d(4, eps=EPSILON),
        nn.Flatten(),
        nn.Linear(4, 2),
    ).eval()


@pytest.fixture
def deployed() -> Tensors:
    """The three layers in int8, every channel with a code of 127; no BatchNorm."""
    rng, found = np.random.default_rng(5), Tensors()
    for name, shape in (("0", (6, 3, 3, 3)), ("3", (4, 6, 1, 1)), ("6", (2, 4))):
        codes = rng.integers(-127, 128, shape, np.int8)
        codes.reshape(shape[0], -1)[:, 0] = 127
        found[f"{name}.weight_int8"] = torch.from_numpy(codes)
        for kind in ("scale", "bias"):
            found[f"{name}.{kind}"] = torch.from_numpy(rng.random(shape[0], np.float32))
    return found


def fitted(tensors: Tensors, model: nn.Module | None = None) -> Tensors:
    return fit_names(tensors, model or network(), path=Path("net.safetensors"))


def loaded(tensors: Tensors) -> nn.Sequential:
    made = network()
    made.load_state_dict(fitted(tensors))
    return made


@pytest.mark.parametrize("layer", ["0", "3", "6"])
def test_a_weight_is_its_code_times_the_scale_of_its_channel(deployed: Tensors, layer: str) -> None:
    found = fitted(deployed)[f"{layer}.weight"]
    codes, scales = (deployed[f"{layer}.{n}"].numpy() for n in ("weight_int8", "scale"))
    expected = np.zeros(codes.shape, np.float32)
    for place, code in np.ndenumerate(codes):
        expected[place] = np.float32(float(code) * float(scales[place[0]]))
    assert found.dtype == torch.float32
    assert np.array_equal(found.numpy(), expected)


def test_a_bias_goes_to_its_layer_or_to_the_batchnorm_behind_it(deployed: Tensors) -> None:
    found = fitted(deployed)
    assert torch.equal(found["1.bias"], deployed["0.bias"])
    assert torch.equal(found["3.bias"], deployed["3.bias"])
    assert torch.equal(found["6.bias"], deployed["6.bias"])
    assert found["4.bias"].tolist() == [0.0] * 4
    assert list(found) == list(network().state_dict())


def test_a_batchnorm_does_no_more_than_to_add(deployed: Tensors) -> None:
    made = loaded(deployed)
    values = torch.randn(2, 6, 5, 5)
    expected = values.numpy() + deployed["0.bias"].numpy().reshape(-1, 1, 1)
    np.testing.assert_allclose(made[1](values).detach().numpy(), expected, rtol=0, atol=1e-6)
    values = torch.randn(2, 4, 5, 5)
    np.testing.assert_allclose(made[4](values).numpy(force=True), values.numpy(), rtol=1e-6)


def test_int8_per_channel_stores_the_codes_of_the_file(deployed: Tensors) -> None:
    found, dtype = fitted(deployed), FORMATS.make("int8", {"per": "channel"})
    for layer in ("0", "3", "6"):
        weight = found[f"{layer}.weight"]
        words = dtype.encode(weight, dtype.calibrate(weight))
        assert words.data.view(torch.int8).equal(deployed[f"{layer}.weight_int8"])


def test_a_batchnorm_of_the_file_stays_as_it_is(deployed: Tensors) -> None:
    state = {n: t for n, t in network().state_dict().items() if n.startswith("4.")}
    state["4.running_mean"] = torch.full((4,), 7.0)
    found = fitted({**deployed, **state})
    assert all(torch.equal(found[name], held) for name, held in state.items())
    assert found["1.running_var"].tolist() == pytest.approx([1 - 1e-5] * 6)
    del state["4.running_var"]
    with pytest.raises(SetupError, match=r"1 missing \(4.running_var\)"):
        fitted({**deployed, **state})


def test_the_batchnorm_is_the_one_that_takes_what_the_layer_gives() -> None:
    class Crossed(nn.Module):
        """Two layers whose BatchNorms are named in the other order."""

        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 2, 1, bias=False), nn.Conv2d(2, 2, 1, bias=False)
            self.norm_b, self.norm_a = nn.BatchNorm2d(2), nn.BatchNorm2d(2)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm_b(self.b(self.norm_a(self.a(x))))

    codes, ones = torch.ones(2, 2, 1, 1, dtype=torch.int8), torch.ones(2)
    given = {}
    for name, bias in (("a", 1.0), ("b", 2.0)):
        given |= {f"{name}.weight_int8": codes, f"{name}.scale": ones, f"{name}.bias": bias * ones}
    found = fitted(given, Crossed().eval())
    assert found["norm_a.bias"].tolist() == [1.0, 1.0]
    assert found["norm_b.bias"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"0.scale": None}, "0.weight_int8 has no 0.scale; export one scale"),
        ({"0.scale": torch.ones(3)}, "0.weight_int8 has 6 output channels, 0.scale has 3 values"),
        ({"7.weight_int8": torch.ones(2, dtype=torch.int8)}, "7.weight_int8 has no weight in the"),
        ({"0.weight_int8": torch.ones(6, 3, 3, 3)}, "0.weight_int8 is float32 of 4 dimensions"),
        ({"0.weight": torch.ones(6, 3, 3, 3)}, "stands beside 0.weight; take one of them out"),
        ({"0.bias": torch.ones(5)}, r"1.bias is \(5,\) in the file, \(6,\) in the network"),
        ({"0.weight_int8": torch.ones(6, 3, dtype=torch.int8)}, r"0.weight is \(6, 3\) in the"),
        ({"1.weight": torch.ones(6)}, "0.bias has nowhere to go: the layer has no bias"),
        ({"3.bias": None}, r"1 missing \(3.bias\)"),
        ({"9.scale": torch.ones(1)}, r"1 unexpected \(9.scale\)"),
    ],
)
def test_what_does_not_fit_is_refused(
    deployed: Tensors, change: dict[str, Tensor | None], told: str
) -> None:
    given = {name: held for name, held in {**deployed, **change}.items() if held is not None}
    with pytest.raises(SetupError, match=told):
        fitted(given)


def test_a_bias_without_a_batchnorm_behind_it_is_refused(deployed: Tensors) -> None:
    model = network()
    model[1] = nn.Identity()
    with pytest.raises(SetupError, match=r"net.safetensors: 0.bias has nowhere to go"):
        fitted(deployed, model)


def test_a_network_that_cannot_be_traced_is_told(deployed: Tensors) -> None:
    class Branching(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:
            output: Tensor = super().forward(input) if input.sum() > 0 else input
            return output

    with pytest.raises(SetupError, match=r"biases of BatchNorm .* Branching cannot be traced"):
        fitted(deployed, Branching(*network()))


def test_scales_of_a_transposed_convolution_are_refused() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(3, 3, 2))
    codes = torch.ones(3, 3, 2, 2, dtype=torch.int8)
    given = {"0.weight_int8": codes, "0.scale": torch.ones(3), "0.bias": torch.zeros(3)}
    with pytest.raises(SetupError, match=r"0.weight_int8: scales of a ConvTranspose2d"):
        fitted(given, model)


def test_files_without_codes_are_read_as_ever() -> None:
    state = network().state_dict()
    found = fitted(state)
    assert all(torch.equal(found[name], held) for name, held in state.items())


def test_the_files_model_reads_them(deployed: Tensors, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6))\n"
    )
    path = tmp_path / "net.safetensors"
    save_file({n: t for n, t in deployed.items() if n.startswith("0.")}, path)
    options = {"weights": str(path), "architecture": f"{tmp_path / 'net.py'}:make"}
    state = MODELS.make("files", {**options, "normalize": "half", "padding": "same"}).state()
    assert np.array_equal(state["0.weight"], fitted(deployed)["0.weight"].numpy())
    assert np.array_equal(state["1.bias"], deployed["0.bias"].numpy())
