"""Number formats: how a weight becomes a stored word and is read back."""

from campaign.formats.base import FORMATS, NumberFormat

__all__ = ["FORMATS", "NumberFormat"]
