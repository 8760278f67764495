"""Fault models: which stored bits flip."""

from campaign.faults.base import FAULTS, FaultModel
from campaign.faults.exposed import Exposed, FieldKey
from campaign.faults.streams import Stream

__all__ = ["FAULTS", "Exposed", "FaultModel", "FieldKey", "Stream"]
