"""Under which keys workers find what they share."""

from __future__ import annotations

from campaign.sources import Preprocess
from campaign.spec.grid import Setup


def model_asset(setup: Setup) -> str:
    """Under which key workers find the weights of the setup's network, trained or as they came."""
    return f"model:{setup.model_name}" if setup.training is None else setup.training.asset


def data_asset(preprocess: Preprocess) -> str:
    """Under which key workers find the test set in the geometry of `preprocess`."""
    return f"data:{preprocess.resize}:{preprocess.crop}:{preprocess.interpolation}"


def profile_asset(preprocess: Preprocess) -> str:
    """Under which key workers find the images that the profile split is taken from."""
    return f"profile:{preprocess.resize}:{preprocess.crop}:{preprocess.interpolation}"


def fault_asset(setup: Setup) -> str:
    """Under which key workers find the fault model with what its file holds."""
    return f"fault:{setup.fault_name}"
