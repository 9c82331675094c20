"""A model organism of photographs: captions, images and Stable Diffusion 3's parts at small sizes."""

from companion.photographs.captions import Caption, captions
from companion.photographs.training_set import TrainingSet, photographs, training_set

__all__ = ["Caption", "TrainingSet", "captions", "photographs", "training_set"]
