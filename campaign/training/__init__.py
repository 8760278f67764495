"""Training: what a recipe says, done once for a content, checkpointed, and read again."""

from campaign.training.job import FitJob, fit_digest, trained_part
from campaign.training.recipe import Recipe

__all__ = ["FitJob", "Recipe", "fit_digest", "trained_part"]
