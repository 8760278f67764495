"""Training: what a recipe says, done once for a content, checkpointed, and read again."""

from campaign.training.job import EpochMetrics, FitJob, Trained, fit_digest, trained_part
from campaign.training.recipe import Recipe

__all__ = ["EpochMetrics", "FitJob", "Recipe", "Trained", "fit_digest", "trained_part"]
