"""Freed memory is kept where the C library can be told so."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import textwrap

import pytest

from campaign.trial.allocator import keep_freed_memory


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_block_that_was_freed_is_not_faulted_in_again() -> None:
    """Page faults of allocating, filling and freeing 64 MB 50 times, in a process of its own."""
    code = """
        import resource
        import torch
        from campaign.trial.allocator import keep_freed_memory
        assert keep_freed_memory()
        torch.ones(16_000_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(50):
            torch.ones(16_000_000)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert int(told.stdout) < 0.3 * 50 * 64_000_000 / 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0"), ("1", "1")])
def test_huge_pages_are_asked_for_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    if before is not None:
        monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", before)
    keep_freed_memory()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == after


def test_telling_twice_is_telling_once() -> None:
    assert keep_freed_memory() == keep_freed_memory()
