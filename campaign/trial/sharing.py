"""A prepared setup for another one that stores the same and differs in what may flip."""

from __future__ import annotations

from dataclasses import replace

from campaign.faults import FAULTS
from campaign.spec.exposure import Exempt
from campaign.spec.grid import Setup
from campaign.trial.memory import Storage
from campaign.trial.setup import Prepared


def restated(prepared: Prepared, setup: Setup) -> Prepared | None:
    """What `prepare` would give for `setup`, with all that was stored and answered before.

    Setups of one storage differ in fault model, lifetime and bits alone: the stored words, the
    network and its fault-free answers are the same, and so is what trials gave by the weights they
    read.

    Returns:
        None where `setup` stores or reads otherwise, where a method learns from faults, or where
        activations are exposed.
    """
    if prepared.reference or _storage_of(prepared.setup) != _storage_of(setup):
        return None
    if setup.targets.activations or any(method.observes for method in setup.stack):
        return None
    targets = setup.targets
    exempt = Exempt.of(setup.dtype, targets.exempt_bits, targets.only_bits)
    storage = Storage(setup.dtype, setup.stack, setup.nonfinite, exempt)
    subject = replace(prepared.subject, storage=storage)
    return replace(prepared, setup=setup, storage=storage, subject=subject)


def _storage_of(setup: Setup) -> tuple[Setup, bool]:
    """The setup without what flips, and whether its images are learnt from."""
    usual = FAULTS.make("bit_flip")
    targets = replace(setup.targets, only_bits=(), exempt_bits=())
    plain = replace(setup, setup_id="", fault_name="", fault=usual, targets=targets, lifetime=None)
    return plain, setup.needs_profile is None
