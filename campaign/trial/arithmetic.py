"""In which arithmetic a forward pass is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from campaign.lazy import torch

HALVES = {"bf16": "bfloat16", "fp16": "float16"}
"""Arithmetics with numbers of 16 bits, and how torch calls these."""


@contextmanager
def arithmetic(compute: str, device: str) -> Iterator[None]:
    """Compute so inside the block.

    Args:
        compute: ``fp32``; ``bf16`` or ``fp16``, where convolutions and matrix products take and
            give numbers of 16 bits and sum in float32, and what is sensitive stays in float32;
            ``tf32``, where a CUDA device rounds their factors to 10 fraction bits.
        device: Type of the device, ``cpu`` or ``cuda``.

    Raises:
        ValueError: If the device has no such arithmetic.

    Source: automatic mixed precision, Micikevicius et al., ICLR 2018.
    """
    if compute == "tf32":
        with _tf32(device):
            yield
    elif compute in HALVES:
        with torch.autocast(device, dtype=getattr(torch, HALVES[compute])):
            yield
    else:
        yield


@contextmanager
def _tf32(device: str) -> Iterator[None]:
    if device != "cuda":
        raise ValueError(
            f"evaluation.compute: tf32 is an arithmetic of CUDA devices, this worker has {device}; "
            "take fp32 or bf16"
        )
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    try:
        convolutions.allow_tf32 = products.allow_tf32 = True
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before
