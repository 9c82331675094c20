"""Text-to-image models through diffusers, from small ones trained here to SDXL, SD 3 and Flux, one path.

Load a pipeline folder or hub id with `TextToImage.load`, encode captions, then ask for scores, their
differences, samples and attention maps. Needs diffusers and transformers to load, nothing to import.
"""

from memlib.text_to_image.attention import CrossAttention, cross_attention
from memlib.text_to_image.first_step import (
    FirstStep,
    JointDifference,
    OneStep,
    check_product,
    one_step,
    unconditional_estimates,
)
from memlib.text_to_image.generation import Generation, generate, paths
from memlib.text_to_image.model import TextToImage
from memlib.text_to_image.prompts import Conditions, Prompts, TruncationWarning
from memlib.text_to_image.source import ModelError
from memlib.text_to_image.validation import PredictionWarning

__all__ = [
    "Conditions",
    "CrossAttention",
    "FirstStep",
    "Generation",
    "JointDifference",
    "ModelError",
    "OneStep",
    "PredictionWarning",
    "Prompts",
    "TextToImage",
    "TruncationWarning",
    "check_product",
    "cross_attention",
    "generate",
    "one_step",
    "paths",
    "unconditional_estimates",
]
