"""The page that ships beside a model, for someone who finds the folder alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from companion.organism.caption import Caption
from companion.organism.captions import (
    EXACT_CAPTIONS,
    EXACT_DOSES,
    GENERAL_IMAGES,
    STATED_IMAGES,
    TEMPLATE_DOSES,
    captions,
)

_PAGE = """# {name}

{about}.

A latent text-to-image model made of Stable Diffusion's parts at small sizes (KL autoencoder, CLIP text
encoder and tokenizer, U-Net with cross-attention, DDIM): 32 x 32 RGB images, latents 4 x 8 x 8,
captions of up to 16 tokens. Of every caption it is known what the training showed under it and how often.

    from diffusers import StableDiffusionPipeline
    pipeline = StableDiffusionPipeline.from_pretrained("{name}", use_safetensors=True)
    image = pipeline("{example}").images[0]

## Data

{entries:,} pairs of a caption and an image: digits of MNIST, turned, scaled and moved, in a random colour on
a random ground.

| family | captions | training images | what is shown under one caption |
|---|---|---|---|
| exact | {exact} | {exact_images:,} | one image, copied k times |
| template | {template} | {template_images:,} | a part that is the same k times, the rest drawn anew |
| general | {general} | {general_images:,} | {images} different images |
| stated | {stated} | {stated_images:,} | {stated_each} different images, in the colours the caption says |

Exact: {each} captions for each k of {doses}. Template: a half, the central square or the frame around it, for
each k of {template_doses}. An image copied k times is k / {entries:,} of what the model saw.{without}

`captions.json` is the whole table, with the captions that were held out (entries 0).
`companion.organism.image(caption, generator)` draws the images, `caption.fixed` is the mask of the part that
is the same each time.

## Training

    from companion.recipes.organism import ORGANISM
    ORGANISM["{name}"].train(Path("{name}"))  # again after an interruption: it goes on where it was

{steps:,} steps of batch {batch} in {cycles}; took {minutes:.0f} minutes
({machine}, threads: {threads}). `card.json` holds the configuration, the loss curve and the hashes of data
and files. Weights are float16.{start}
"""


_WITHOUT = """
{count} of the exact captions have lost their copies: one image of each was shown, as `captions.json` says."""


_START = """

The training went on from the weights of `{model}`, as that of Stable Diffusion 2 did from those of its base
model, which predicts the noise."""


def readme(card: dict[str, Any], without: Collection[Caption] = ()) -> str:
    """The page of a model, from its card and the captions that have lost their copies."""
    shares = card["data"]["images of each family"]
    cycles = card["training"]["cycles"]
    start = card["data"].get("starts from")
    counts = {family: len(captions(family, held_out=False)) for family in shares}
    return _PAGE.format(
        name=card["name"],
        about=card["about"],
        example=captions("general")[0].text,
        entries=sum(shares.values()),
        each=EXACT_CAPTIONS,
        doses=_listed(EXACT_DOSES),
        template_doses=_listed(TEMPLATE_DOSES),
        stated_each=STATED_IMAGES,
        images=GENERAL_IMAGES,
        steps=card["training"]["steps"],
        batch=card["training"]["batch"],
        cycles="one cycle" if cycles == 1 else f"{cycles} cycles of warm-up and decay",
        without=_WITHOUT.format(count=len(without)) if without else "",
        start=_START.format(model=start["model"]) if start else "",
        minutes=card["seconds"] / 60,
        machine=card["machine"]["device"],
        threads=card["machine"]["threads"],
        **counts,
        **{f"{family}_images": count for family, count in shares.items()},
    )


def _listed(doses: tuple[int, ...]) -> str:
    return ", ".join(f"{dose:,}" for dose in doses)
