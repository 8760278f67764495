"""The cost of a flip at each bit position, measured on real weights and by the closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from campaign.analysis.closed_form import Code, ErrorSums, Numbers, code_of, expected_errors
from campaign.errors import SetupError
from campaign.lazy import np, torch
from campaign.runner.code import check_code
from campaign.spec.campaign import CampaignSpec
from campaign.spec.expand import expand
from campaign.spec.grid import Setup
from campaign.spec.variants import targets_of
from campaign.trial.bit_errors import held_numbers, stored_parameters, swings
from campaign.trial.memory import Storage, Stored
from campaign.trial.setup import Network

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = [
    *("model", "dtype", "method", "t", "nonfinite", "bit", "classes", "n_weights"),
    *("nonfinite_share", "absolute", "expected_absolute", "squared", "expected_squared"),
]


def bit_errors(
    spec: CampaignSpec, note: Callable[[str], None], *, allow_code: bool = False
) -> pd.DataFrame:
    """Mean errors of the weights of every setup when one bit of a word flips.

    Every bit of every exposed word is flipped, alone; no image is looked at. Codes are read past.
    Fault model, BER and exempt bits have no say.

    Args:
        spec: The campaign; its models are loaded, or downloaded.
        note: Told what is read.
        allow_code: Build models from code that is not ours.

    Returns:
        One row for each setup and bit (0 = least significant): the coordinates of the setup,
        ``bit``, ``classes`` (of bits, with ``/`` between), ``n_weights``, ``nonfinite_share`` (of
        weights, that then read as NaN or infinity), and over the others, in units of the weights,
        ``absolute`` (mean |error|), ``squared`` (mean error^2) as measured, each with ``expected_``
        by `campaign.analysis.closed_form`; NaN where a method other than weight scaling changes
        what words mean. Measured weights are rounded to float32 once more, which shows in the last
        bits of fp32 and fp64.

    Raises:
        SetupError: If a weight cannot be read or stored.
    """
    import pandas as pd

    rows, loaded = [], dict[str, Network]()
    setups = _storages(spec)
    check_code(setups, allowed=allow_code)
    for setup in setups:
        if setup.model_name not in loaded:
            note(f"loading {setup.model_name}")
            loaded = {setup.model_name: _network(setup)}
        note(f"flipping every bit of {setup.label}")
        rows += _rows(setup, loaded[setup.model_name])
    return pd.DataFrame(rows, columns=COLUMNS)


def _storages(spec: CampaignSpec) -> list[Setup]:
    """One setup for each way of storing, with the targets of the campaign, whatever is varied."""
    held: dict[tuple[object, ...], Setup] = {}
    for grid in expand(spec):
        setup = grid.setup
        stored = (setup.model_name, setup.dtype.label, setup.method, setup.t, setup.nonfinite)
        held.setdefault(stored, replace(setup, targets=targets_of(spec)))
    return list(held.values())


def _network(setup: Setup) -> Network:
    state = setup.model.state()
    device = torch.device("cpu")
    return Network.load(setup.model.build(), state, device, fold=setup.fold_batchnorm)


def _rows(setup: Setup, network: Network) -> list[dict[str, object]]:
    measured, expected, count = ErrorSums.none(setup.dtype.width), None, 0
    code = code_of(setup.dtype)
    try:
        with torch.inference_mode():
            for stored, storage in stored_parameters(setup, network):
                count += stored.clean.numel()
                measured = measured.plus(_measured(stored, storage))
                found = _expected(code, stored, setup)
                expected = found if expected is None else expected.plus(found)
    except ValueError as error:
        raise SetupError(f"{setup.label}: {error}") from None
    if expected is None:
        raise SetupError(f"{setup.label}: no parameter is exposed by {setup.targets.label}")
    return [_row(setup, bit, count, measured, expected) for bit in range(setup.dtype.width)]


def _measured(stored: Stored, storage: Storage) -> ErrorSums:
    found = [swings(stored, storage, bit) for bit in range(storage.dtype.width)]
    return ErrorSums(*np.array(found, float).T)


def _expected(code: Code | None, stored: Stored, setup: Setup) -> ErrorSums:
    """By the closed form; NaN where there is none."""
    held = held_numbers(stored, setup.dtype)
    if code is None or held is None:
        return ErrorSums(*np.full((3, setup.dtype.width), math.nan))
    return expected_errors(code, Numbers(*held), setup.nonfinite)


def _row(
    setup: Setup, bit: int, count: int, measured: ErrorSums, expected: ErrorSums
) -> dict[str, object]:
    classes = [name for name, bits in setup.dtype.bit_classes.items() if bit in bits]
    ours, theirs = (
        [_mean(sums[bit], count - each.nonfinite[bit]) for sums in (each.absolute, each.squared)]
        for each in (measured, expected)
    )
    return {
        "model": setup.model_name,
        "dtype": setup.dtype.label,
        "method": setup.method,
        "t": setup.t,
        "nonfinite": setup.nonfinite,
        "bit": bit,
        "classes": "/".join(classes),
        "n_weights": count,
        "nonfinite_share": measured.nonfinite[bit] / count,
        **dict(zip(("absolute", "squared"), ours, strict=True)),
        **dict(zip(("expected_absolute", "expected_squared"), theirs, strict=True)),
    }


def _mean(total: float, finite: float) -> float:
    return total / finite if finite else math.nan
