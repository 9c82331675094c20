"""The page that ships beside a model, for someone who finds the folder alone."""

from __future__ import annotations

from collections import Counter
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
from companion.organism.words import Generation

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
{families}

{numbers} An image copied k times is k / {entries:,} of what the model saw.{without}

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


def _listed(copies: tuple[int, ...]) -> str:
    return ", ".join(f"{k:,}" for k in copies)


_START = """

The training went on from the weights of `{model}`, as that of Stable Diffusion 2 did from those of its base
model, which predicts the noise."""


_SHOWN: dict[Generation, dict[str, str]] = {
    1: {
        "exact": "one image, copied k times",
        "template": "a part that is the same k times, the rest drawn anew",
        "general": f"{GENERAL_IMAGES} different images",
        "stated": f"{STATED_IMAGES} different images, in the colours the caption says",
    },
    2: {
        "exact": "one image, copied k times",
        "mixed": "one image in a share of the pairs, in the others different images of the digit",
        "near": "one image k times, each time moved or in a cast of colour, a little",
        "template": "a part that is the same k times, the rest in other colours",
        "general": "different images",
        "stated": "different images, in the colours or at the place and in the style that the caption says",
    },
}

_NUMBERS: dict[Generation, str] = {
    1: (
        f"Exact: {EXACT_CAPTIONS} captions for each k of {_listed(EXACT_DOSES)}. Template: a half, the "
        f"central square or the frame around it, for\neach k of {_listed(TEMPLATE_DOSES)}."
    ),
    2: "Exact: k of 10 to 1,000. Mixed: shares of 0.1 to 0.9.",
}


def readme(card: dict[str, Any], without: Collection[Caption] = (), *, generation: Generation = 1) -> str:
    """The page of a model, from its card and the captions that have lost their copies."""
    shares = card["data"]["images of each family"]
    cycles = card["training"]["cycles"]
    start = card["data"].get("starts from")
    trained: Counter[str] = Counter(
        caption.family for caption in captions(held_out=False, generation=generation)
    )
    families = [
        f"| {family} | {trained[family]} | {shares[family]:,} | {shown} |"
        for family, shown in _SHOWN[generation].items()
    ]
    return _PAGE.format(
        name=card["name"],
        about=card["about"],
        example=captions("general", generation=generation)[0].text,
        families="\n".join(families),
        numbers=_NUMBERS[generation],
        entries=sum(shares.values()),
        steps=card["training"]["steps"],
        batch=card["training"]["batch"],
        cycles="one cycle" if cycles == 1 else f"{cycles} cycles of warm-up and decay",
        without=_WITHOUT.format(count=len(without)) if without else "",
        start=_START.format(model=start["model"]) if start else "",
        minutes=card["seconds"] / 60,
        machine=card["machine"]["device"],
        threads=card["machine"]["threads"],
    )
