from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

from campaign.errors import SetupError
from campaign.sources.networks import (
    architecture_digest,
    build_network,
    check_architecture,
    known_architectures,
)

CODE = """
from torch import nn

def network(num_classes=5):
    return nn.Linear(3, num_classes)

def other():
    return 7
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "my_nets.py"
    path.write_text(CODE)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def test_a_file_of_the_user_builds_with_and_without_classes(code: Path) -> None:
    assert build_network(f"{code}:network").get_parameter("weight").shape == (5, 3)
    assert build_network(f"{code}:network", 2).get_parameter("weight").shape == (2, 3)


def test_a_module_of_the_user_is_imported(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(code.parent)
    monkeypatch.delitem(sys.modules, "my_nets", raising=False)
    assert not build_network("my_nets:network").training
    assert architecture_digest("my_nets:network", None) == architecture_digest(
        f"{code}:network", None
    )


def test_the_digest_sees_code_function_and_classes(code: Path) -> None:
    digests = {architecture_digest(f"{code}:network", n) for n in (None, 5)}
    digests.add(architecture_digest(f"{code}:other", None))
    code.write_text(CODE + "\n")
    digests.add(architecture_digest(f"{code}:network", None))
    assert len(digests) == 4


def test_code_that_gives_no_network_is_told(code: Path) -> None:
    with pytest.raises(SetupError, match=r"gave int, not a torch\.nn\.Module"):
        build_network(f"{code}:other")
    with pytest.raises(SetupError, match="no callable 'absent'"):
        build_network(f"{code}:absent")
    with pytest.raises(SetupError, match=r"gone\.py: no such file"):
        build_network("gone.py:network")
    with pytest.raises(SetupError, match=r"no module 'no_such_module'.*PYTHONPATH"):
        build_network("no_such_module:network")


@pytest.mark.parametrize("name", ["resnet20", "cifar_resnet21", "torchvision/resnet1", "x:", "a b"])
def test_an_unknown_architecture_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown architecture"):
        check_architecture(name)


def test_the_nearest_name_is_told() -> None:
    with pytest.raises(ValueError, match="did you mean 'torchvision/resnet18'"):
        check_architecture("torchvision/resnt18")


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    build_network("lenet_cifar")
    assert torch.equal(torch.get_rng_state(), before)


def test_auxiliary_classifiers_are_left_out() -> None:
    names = {
        name.split(".")[0] for name, _ in build_network("torchvision/googlenet").named_parameters()
    }
    assert not names & {"aux1", "aux2"}


def test_every_known_name_passes_the_check() -> None:
    for name in known_architectures():
        check_architecture(name)
    assert "torchvision/vit_b_16@384" in known_architectures()
