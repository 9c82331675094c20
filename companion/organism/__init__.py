"""A text-to-image model in miniature, made of Stable Diffusion's parts, whose copies are known."""

from companion.organism.caption import Caption, region_mask
from companion.organism.captions import captions, truth
from companion.organism.images import image, images
from companion.organism.training_set import TrainingSet, training_batch, training_set

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
