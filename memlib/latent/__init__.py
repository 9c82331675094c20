"""Text-to-image latent diffusion through diffusers: a small model trained here or Stable Diffusion, one path.

Load a pipeline folder or hub id with `TextToImage.load`, encode captions, then ask for scores, their
differences, samples and attention maps. Needs `pip install 'memlib[latent]'` to load, nothing to import.
"""

from memlib.latent.attention import CrossAttention, cross_attention
from memlib.latent.curvature import Curvature, columns
from memlib.latent.difference import JointDifference, SharedNoiseDifference, remembering
from memlib.latent.generation import Generation, generate, paths
from memlib.latent.model import TextToImage
from memlib.latent.onestep import OneStep, check_product, one_step
from memlib.latent.prompts import Prompts
from memlib.latent.source import ModelError
from memlib.latent.spectra import CaptionSpectra, caption_spectra, conditional_curvature

__all__ = [
    "CaptionSpectra",
    "CrossAttention",
    "Curvature",
    "Generation",
    "JointDifference",
    "ModelError",
    "OneStep",
    "Prompts",
    "SharedNoiseDifference",
    "TextToImage",
    "caption_spectra",
    "check_product",
    "columns",
    "conditional_curvature",
    "cross_attention",
    "generate",
    "one_step",
    "paths",
    "remembering",
]
