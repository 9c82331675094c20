"""The pipelines of diffusers that can be read, and the little that recording their calls does not tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

_WITHOUT_BATCH = ("txt_ids", "img_ids")


@dataclass(frozen=True)
class Family:
    """What is particular to a pipeline.

    Attributes:
        pipeline: class of diffusers.
        denoiser: part that is called step after step, and its class.
        vae: class of the autoencoder, or None where samples are images.
        shift: whether the pipeline uses the autoencoder's shift.
        binned: whether it rounds the size of images to one of a list, of which the model's own size is one.
        guidance: how it guides: by a second pass, by a number that its network was distilled for, or not.
        reads: what its prompts are.
        shared: arguments of its denoiser whose first axis is not that of the batch.
    """

    pipeline: str
    denoiser: tuple[str, str]
    vae: str | None = "AutoencoderKL"
    shift: bool = False
    binned: bool = False
    guidance: Literal["free", "distilled", "none"] = "free"
    reads: Literal["text", "labels", "nothing"] = "text"
    shared: tuple[str, ...] = ()

    @property
    def classes(self) -> dict[str, str]:
        """Name of a part -> the only class that it may have."""
        return {self.denoiser[0]: self.denoiser[1]} | ({"vae": self.vae} if self.vae else {})

    @property
    def needed(self) -> set[str]:
        """Parts without which it does nothing."""
        return {*self.classes, "scheduler", *(("tokenizer", "text_encoder") if self.reads == "text" else ())}

    def size(self, pipeline: Any) -> dict[str, Any]:
        """Arguments of a pipeline's call that ask for images of the model's own size."""
        if not self.binned:
            return {}
        side = pipeline.transformer.config.sample_size * pipeline.vae_scale_factor
        return {"height": side, "width": side, "use_resolution_binning": False}


FAMILIES = {
    family.pipeline: family
    for family in (
        Family("StableDiffusionPipeline", ("unet", "UNet2DConditionModel")),
        Family("StableDiffusionXLPipeline", ("unet", "UNet2DConditionModel")),
        Family("StableDiffusion3Pipeline", ("transformer", "SD3Transformer2DModel"), shift=True),
        Family("PixArtAlphaPipeline", ("transformer", "PixArtTransformer2DModel"), binned=True),
        Family("PixArtSigmaPipeline", ("transformer", "PixArtTransformer2DModel"), binned=True),
        Family("SanaPipeline", ("transformer", "SanaTransformer2DModel"), vae="AutoencoderDC", binned=True),
        Family(
            "FluxPipeline",
            ("transformer", "FluxTransformer2DModel"),
            shift=True,
            guidance="distilled",
            shared=_WITHOUT_BATCH,
        ),
        Family("DiTPipeline", ("transformer", "DiTTransformer2DModel"), reads="labels"),
        *(
            Family(name, ("unet", "UNet2DModel"), vae=None, guidance="none", reads="nothing")
            for name in ("DDPMPipeline", "DDIMPipeline")
        ),
    )
}
