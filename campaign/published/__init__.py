"""Numbers that others have published, as data with their source; nothing here is measured."""

from campaign.published.load import load_published
from campaign.published.schema import Claim, Dataset, Model, Publication

__all__ = ["Claim", "Dataset", "Model", "Publication", "load_published"]
