"""VGG for 32x32 images: the published convolutions, a head of 512 features."""

from __future__ import annotations

from torch import Tensor, nn

_STAGES: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Convolutions in each of the five stages, by depth."""
_CHANNELS = (64, 128, 256, 512, 512)


class CifarVgg(nn.Module):
    """Five stages of 3x3 convolutions, each ended by a 2x2 maximum; input (batch, 3, 32, 32).

    Parameter names are those of the published checkpoints of pytorch-cifar-models.
    Source: Simonyan and Zisserman, ICLR 2015.
    """

    def __init__(self, depth: int, batch_norm: bool, num_classes: int) -> None:
        super().__init__()
        self.features = _features(depth, batch_norm)
        self.classifier = nn.Sequential(
            *(nn.Linear(512, 512), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(512, 512), nn.ReLU(), nn.Dropout()),
            nn.Linear(512, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits


def _features(depth: int, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for convolutions, channels in zip(_STAGES[depth], _CHANNELS, strict=True):
        for _ in range(convolutions):
            layers.append(nn.Conv2d(before, channels, 3, padding=1))
            layers += [nn.BatchNorm2d(channels)] if batch_norm else []
            layers.append(nn.ReLU())
            before = channels
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def cifar_vgg(depth: int, batch_norm: bool, num_classes: int) -> nn.Module:
    """VGG of `depth` layers for CIFAR, untrained."""
    return CifarVgg(depth, batch_norm, num_classes)
