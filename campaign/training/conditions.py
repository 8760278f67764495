"""What of torch a training sets, and puts back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from campaign.lazy import torch


@contextmanager
def conditions(threads: int) -> Iterator[None]:
    """So many threads, deterministic convolutions in full float32, gradients; all as it was after.

    The global generators of torch, which networks draw from (dropout), are put back too.
    """
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, products.allow_tf32
    count = torch.get_num_threads()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
        try:
            torch.set_num_threads(threads)
            cudnn.benchmark, cudnn.deterministic = False, True
            cudnn.allow_tf32 = products.allow_tf32 = False
            yield
        finally:
            torch.set_num_threads(count)
            cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, products.allow_tf32 = before
