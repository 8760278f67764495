"""Protections: what is done to weights before they are stored and when they are read."""

from campaign.methods.base import METHODS, Decoded, Method, Settled, Spans, State

__all__ = ["METHODS", "Decoded", "Method", "Settled", "Spans", "State"]
