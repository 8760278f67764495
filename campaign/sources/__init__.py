"""Where models and data come from."""

from campaign.sources.base import DATASETS, MODELS, DatasetSource, Images, ModelSource, Preprocess

__all__ = ["DATASETS", "MODELS", "DatasetSource", "Images", "ModelSource", "Preprocess"]
