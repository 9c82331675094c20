"""The pipelines of diffusers that can be read, and the little that recording their calls does not tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Family:
    """What is particular to a pipeline.

    Attributes:
        pipeline: class of diffusers.
        denoiser: part that is called step after step, and its class.
        vae: class of the autoencoder.
        flow: whether the noise is that of a rectified flow.
        shift: whether the autoencoder's shift is used.
        options: of every call.
    """

    pipeline: str
    denoiser: tuple[str, str]
    vae: str = "AutoencoderKL"
    flow: bool = False
    shift: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> dict[str, str]:
        """Name of a part -> the only class that it may have."""
        return {self.denoiser[0]: self.denoiser[1], "vae": self.vae}


FAMILIES = {
    family.pipeline: family
    for family in (Family("StableDiffusionPipeline", ("unet", "UNet2DConditionModel")),)
}
