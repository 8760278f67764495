"""Is a difference more than noise: exact tests of means, and what many of them allow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
DRAWS = 19_999
"""Random rearrangements where there are too many to look at each."""
_MOST_STEPS = 50_000_000
_ROUNDING = 1e-9


def sign_flip(differences: npt.NDArray[np.int64]) -> float:
    """Two-sided p-value of paired differences, were the two sides exchangeable in each pair.

    The share of all 2^n choices of signs whose sum is at least as far from 0. Exact: sums are
    counted one difference at a time, only as far as the smaller tail reaches. Where this takes
    more than 5e7 steps (hundreds of pairs that all differ by thousands of images), `DRAWS` random
    choices stand for all, and no p-value is below 1 / (`DRAWS` + 1).

    Args:
        differences: Shape (n,), of counts such as images; pairs without a difference say nothing.

    Source: Fisher, The Design of Experiments, 1935, section 21.

    Example:
        >>> sign_flip(np.array([3, 1, 2, 5]))
        0.125
    """
    sizes = np.abs(differences[differences != 0])
    off = abs(int(differences.sum()))
    if off == 0:
        return 1.0
    sizes = np.sort(sizes // np.gcd.reduce(sizes))
    off = off // int(np.gcd.reduce(differences))
    reach = (int(sizes.sum()) - off) // 2
    if len(sizes) * (reach + 1) > _MOST_STEPS:
        return _drawn_signs(sizes, off)
    chance = np.zeros(reach + 1)
    chance[0] = 1.0
    for size in map(int, sizes):
        added = chance[: max(0, reach + 1 - size)].copy()
        chance *= 0.5
        chance[size:] += 0.5 * added
    return min(1.0, 2 * float(chance.sum()))


def permutation(a: Array, b: Array) -> float:
    """Two-sided p-value of the difference of two means, were all values of one kind.

    The share of all ways to part the values in two groups of these sizes whose means lie at least
    as far apart; `DRAWS` random ways, and the one that was seen, where there are more than that.

    Args:
        a: Shape (n,), n >= 1.
        b: Shape (m,), m >= 1.

    Source: Pitman, Suppl. J. R. Stat. Soc. 4, 1937; the count of drawn ones: Phipson and Smyth,
        Stat. Appl. Genet. Mol. Biol. 9, 2010.

    Example:
        >>> round(permutation(np.array([0.9, 0.9, 0.8]), np.array([0.1, 0.2, 0.1])), 3)
        0.1
    """
    values, n = np.concatenate([a, b]), len(a)
    if len(set(values.tolist())) == 1:
        return 1.0
    centred = values - values.mean()
    seen = abs(float(centred[:n].sum())) - _ROUNDING
    if math.comb(len(values), n) <= DRAWS:
        ways = np.array(list(itertools.combinations(range(len(values)), n)))
        return float((np.abs(centred[ways].sum(axis=1)) >= seen).mean())
    far = sum(int((np.abs(block[:, :n].sum(axis=1)) >= seen).sum()) for block in _shuffled(centred))
    return (far + 1) / (DRAWS + 1)


def holm(p: Array) -> Array:
    """P-values raised so that, of all claims at a level, the chance of any false one is the level.

    Holds however the tests depend on one another, as cells of nested faults do.

    Args:
        p: Shape (k,); NaN is no test, and stays NaN.

    Source: Holm, Scand. J. Stat. 6, 1979.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03, math.nan])).round(3).tolist()
        [0.03, 0.06, 0.06, nan]
    """
    adjusted = np.full(len(p), math.nan)
    order = np.argsort(p)[: int((~np.isnan(p)).sum())]
    raised = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return adjusted


def _drawn_signs(sizes: npt.NDArray[np.int64], off: int) -> float:
    random, far = np.random.default_rng([len(sizes), off]), 0
    for rows in _blocks(len(sizes)):
        signs = random.integers(0, 2, (rows, len(sizes)), dtype=np.int64) * 2 - 1
        far += int((np.abs(signs @ sizes) >= off).sum())
    return (far + 1) / (DRAWS + 1)


def _shuffled(values: Array) -> Iterator[Array]:
    random = np.random.default_rng(len(values))
    for rows in _blocks(len(values)):
        yield random.permuted(np.tile(values, (rows, 1)), axis=1)


def _blocks(width: int) -> Iterator[int]:
    """`DRAWS` in parts that fit in memory at so many numbers a draw."""
    step = max(1, 2_000_000 // width)
    for start in range(0, DRAWS, step):
        yield min(step, DRAWS - start)
