"""A text-to-image model in miniature, made of Stable Diffusion's parts, whose copies are known."""

from memlib.organism.captions import Caption, captions, region_mask, truth
from memlib.organism.images import image, images
from memlib.organism.training_set import TrainingSet, training_batch, training_set

__all__ = [
    "Caption",
    "TrainingSet",
    "captions",
    "image",
    "images",
    "region_mask",
    "training_batch",
    "training_set",
    "truth",
]
