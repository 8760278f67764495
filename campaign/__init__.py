"""Measure how neural networks survive bit errors in their stored weights."""

__version__ = "0.1.0"

SEMANTICS = 2
"""The meaning of a trial. Part of every identity; raised when the same spec gives other rows."""
