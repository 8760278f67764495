"""Networks of the literature that torchvision does not have, by name; built only when asked for.

Every activation is a module of its own, so that it can be observed and guarded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from torch import nn


class Architecture(NamedTuple):
    """Where a network is defined: ``module.function(*arguments, num_classes)``."""

    module: str
    function: str
    arguments: tuple[object, ...] = ()
    classes: int = 10
    """Classes unless another number is asked for."""


_RESNET_DEPTHS = {20: 3, 32: 5, 44: 7, 56: 9, 110: 18}
_VGG_DEPTHS = (11, 13, 16, 19)

ARCHITECTURES: dict[str, Architecture] = {
    "digits_cnn": Architecture("digits_cnn", "digits_cnn"),
    "digits_mlp": Architecture("digits_mlp", "digits_mlp"),
    "lenet_cifar": Architecture("lenet_cifar", "lenet_cifar"),
    "tiny_resnet8": Architecture("tiny_resnet", "tiny_resnet8"),
    "resnet8_b": Architecture("wide_stem_resnet", "wide_stem_resnet", (1,)),
    "resnet20_b": Architecture("wide_stem_resnet", "wide_stem_resnet", (3,)),
    **{
        f"cifar_resnet{depth}": Architecture("cifar_resnet", "option_a", (blocks,))
        for depth, blocks in _RESNET_DEPTHS.items()
    },
    **{
        f"cifar_resnet{depth}_relu_first": Architecture("cifar_resnet", "relu_first", (blocks,))
        for depth, blocks in _RESNET_DEPTHS.items()
    },
    **{
        f"cifar_resnet{depth}_b": Architecture("cifar_resnet", "option_b", (blocks,))
        for depth, blocks in _RESNET_DEPTHS.items()
    },
    **{
        f"cifar_vgg{depth}": Architecture("cifar_vgg", "cifar_vgg", (depth, False))
        for depth in _VGG_DEPTHS
    },
    **{
        f"cifar_vgg{depth}_bn": Architecture("cifar_vgg", "cifar_vgg", (depth, True))
        for depth in _VGG_DEPTHS
    },
}


def build_named(name: str, num_classes: int | None = None) -> nn.Module:
    """The network that `ARCHITECTURES` knows as `name`, untrained; imports torch."""
    entry = ARCHITECTURES[name]
    function = getattr(importlib.import_module(f"{__name__}.{entry.module}"), entry.function)
    return cast("nn.Module", function(*entry.arguments, num_classes or entry.classes))
