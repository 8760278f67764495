"""A network of linear layers alone for 8x8 images."""

from __future__ import annotations

from torch import Tensor, nn

WIDTHS = (64, 256, 256, 128)
"""Inputs of the four linear layers."""


class DigitsMlp(nn.Module):
    """115,968 weights and 650 biases; input (batch, 1, 8, 8)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.linear1, self.linear2, self.linear3, self.linear4 = (
            nn.Linear(before, after)
            for before, after in zip(WIDTHS, (*WIDTHS[1:], num_classes), strict=True)
        )
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        x = self.relu1(self.linear1(x.flatten(1)))
        x = self.relu3(self.linear3(self.relu2(self.linear2(x))))
        logits: Tensor = self.linear4(x)
        return logits


def digits_mlp(num_classes: int) -> nn.Module:
    """The network of the source ``digits_mlp``, untrained."""
    return DigitsMlp(num_classes)
