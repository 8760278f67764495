"""Whether a spec may run code of its own: only where its owner says so."""

from __future__ import annotations

from collections.abc import Iterable

from campaign.errors import SpecError
from campaign.spec.grid import Setup


def check_code(setups: Iterable[Setup], *, allowed: bool) -> None:
    """Refuse models that are made by code which is not ours, unless that is `allowed`.

    Args:
        setups: What is about to be built.
        allowed: What the owner said, by ``--allow-code`` or ``CAMPAIGN_ALLOW_CODE=1``.

    Raises:
        SpecError: With one line for each such model.
    """
    if allowed:
        return
    found = {s.model_name: s.model.runs_code for s in setups if s.model.runs_code is not None}
    if found:
        raise SpecError(
            [
                f"models: {name} runs code of {code}; if you trust it, add --allow-code, "
                "or set CAMPAIGN_ALLOW_CODE=1"
                for name, code in found.items()
            ]
        )
