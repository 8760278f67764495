from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from campaign.errors import SetupError
from campaign.sources.checkpoints import arrays_digest, as_arrays, fit_names, read_checkpoint


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network().state_dict().items()}


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_every_kind_of_file_gives_the_same_tensors(
    suffix: str, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"net{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(tensors, path)
    found = read_checkpoint(path)
    assert sorted(found) == sorted(tensors)
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("nest", ["state_dict", "model", "net", "model_state_dict"])
def test_tensors_are_found_where_training_scripts_put_them(
    nest: str, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save({"epoch": 3, nest: tensors}, tmp_path / "net.pt")
    assert list(read_checkpoint(tmp_path / "net.pt")) == list(tensors)


def test_a_key_says_where_the_tensors_are(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({"ema": tensors, "epoch": 3}, tmp_path / "net.pt")
    assert list(read_checkpoint(tmp_path / "net.pt", "ema")) == list(tensors)
    with pytest.raises(
        SetupError, match=r"no dict of tensors at the top or under.*ema, epoch.*key"
    ):
        read_checkpoint(tmp_path / "net.pt")
    with pytest.raises(SetupError, match="no dict of tensors under 'epoch'"):
        read_checkpoint(tmp_path / "net.pt", "epoch")


@pytest.mark.parametrize("prefix", ["module.", "backbone."])
def test_prefixes_are_taken_off(prefix: str, tensors: dict[str, torch.Tensor]) -> None:
    given = {prefix + name: tensor for name, tensor in tensors.items()}
    stated = "" if prefix == "module." else prefix
    found = fit_names(given, network(), path=Path("x"), prefix=stated)
    assert list(found) == list(tensors)
    with pytest.raises(SetupError, match=r"1 without the prefix 'backbone.' \(stray\)"):
        fit_names({"stray": tensors["0.bias"]}, network(), path=Path("x"), prefix="backbone.")


def test_counters_may_be_missing_or_of_one_dimension(tensors: dict[str, torch.Tensor]) -> None:
    counter = tensors.pop("1.num_batches_tracked")
    assert fit_names(tensors, network(), path=Path("x"))["1.num_batches_tracked"] == 0
    tensors["1.num_batches_tracked"] = counter.reshape(1) + 5
    found = fit_names(tensors, network(), path=Path("x"))
    network().load_state_dict(found)
    assert found["1.num_batches_tracked"] == 5


def test_names_that_do_not_fit_are_listed(tensors: dict[str, torch.Tensor]) -> None:
    for name in ("0.weight", "0.bias"):
        tensors["features." + name] = tensors.pop(name)
    expected = r"2 missing \(0.weight, 0.bias\), 2 unexpected \(features.0.weight, .*prefix"
    with pytest.raises(SetupError, match=expected):
        fit_names(tensors, network(), path=Path("x"))


def test_shapes_that_do_not_fit_are_told(tensors: dict[str, torch.Tensor]) -> None:
    tensors["3.bias"] = torch.zeros(7)
    with pytest.raises(SetupError, match=r"3.bias is \(7,\) in the file, \(2,\).*num_classes"):
        fit_names(tensors, network(), path=Path("x"))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "net.pt")
    with pytest.raises(SetupError, match=r"torch.save\(model.state_dict\(\), path\)"):
        read_checkpoint(tmp_path / "net.pt")


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"garbage" * 100])
def test_an_unreadable_file_is_told_with_its_path(
    name: str, content: bytes | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SetupError, match=name):
        read_checkpoint(tmp_path / name)


def test_half_precision_becomes_float32_without_loss(tmp_path: Path) -> None:
    held = {"w": torch.randn(50).bfloat16(), "v": torch.randn(50).half(), "n": torch.tensor(3)}
    save_file(held, tmp_path / "net.safetensors")
    arrays = as_arrays(read_checkpoint(tmp_path / "net.safetensors"))
    assert [arrays[name].dtype for name in "wvn"] == [np.float32, np.float32, np.int64]
    assert torch.equal(torch.from_numpy(arrays["w"]).bfloat16(), held["w"])
    assert torch.equal(torch.from_numpy(arrays["v"]).half(), held["v"])


def test_the_digest_of_arrays_sees_names_shapes_and_bits() -> None:
    array = np.arange(6, dtype=np.float32)
    others = [
        {"b": array},
        {"a": array.reshape(2, 3)},
        {"a": array + 1},
        {"a": array.view(np.int32)},
    ]
    digests = {arrays_digest({"a": array}), *(arrays_digest(other) for other in others)}
    assert len(digests) == 5
    assert arrays_digest({"a": array, "b": array}) == arrays_digest({"b": array, "a": array})
