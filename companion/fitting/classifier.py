"""A small convolutional classifier of images, smooth throughout, and its training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from companion.fitting.loop import Draw, FitConfig, TrainingResult, fit
from memlib import checks
from memlib.networks import checkpoint


@dataclass(frozen=True)
class ClassifierConfig:
    """Sizes of a `Classifier`.

    Attributes:
        image_channels: 1 for grey, 3 for colour.
        image_size: height and width.
        channels: width after each convolution of stride 2, multiples of 8, halving the resolution each time.
        classes: number of classes.
    """

    image_channels: int = 1
    image_size: int = 28
    channels: tuple[int, ...] = (32, 64, 96)
    classes: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))  # JSON gives a list
        if not self.channels or any(width < 8 or width % 8 for width in self.channels):
            raise ValueError(f"channels must be multiples of 8, at least one, got {self.channels}")
        if self.image_size < 2 ** len(self.channels):
            raise ValueError(
                f"image_size={self.image_size} cannot be halved {len(self.channels)} times; "
                "give fewer channels or larger images"
            )
        if self.classes < 2:
            raise ValueError(f"a classifier needs at least 2 classes, got {self.classes}")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return (self.image_channels, self.image_size, self.image_size)


def _layer(incoming: int, outgoing: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(incoming, outgoing, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(num_groups=8, num_channels=outgoing),
        nn.SiLU(),
    )


class Classifier(nn.Module):
    """For each resolution a convolution of stride 2 and one of stride 1; mean over positions; linear layer.

    Every row is classified by itself: group normalisation knows no batch.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        incoming = (config.image_channels, *config.channels)
        self.features = nn.Sequential(
            *(
                layer
                for before, width in zip(incoming, config.channels, strict=False)
                for layer in (_layer(before, width, stride=2), _layer(width, width, stride=1))
            )
        )
        self.leave = nn.Linear(config.channels[-1], config.classes)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """Logits of images in [-1, 1]."""
        checks.shaped("x", x, self.config.sample_shape)
        logits: Tensor = self.leave(self.features(x).mean(dim=(2, 3)))
        return logits


def classify(
    network: nn.Module, images: Float[Tensor, "B C H W"], *, chunk: int = 500
) -> Int64[Tensor, " B"]:
    """The class of the largest logit of every image, on the device of `images`, `chunk` of them at a time.

    Args:
        network: a `Classifier`, or any module with logits `(B, K)`.
        images: in [-1, 1].
        chunk: how many images go through the network together.

    Raises:
        ValueError: images that are not finite, or no batch.

    Example:
        >>> classify(Classifier(ClassifierConfig()), torch.zeros(3, 1, 28, 28)).shape
        torch.Size([3])
    """
    with torch.no_grad():
        parts = torch.split(checks.batched("images", images), chunk)
        return torch.cat([network(part).argmax(dim=1) for part in parts])


def train_classifier(
    network: Classifier,
    draw: Draw,
    config: FitConfig,
    *,
    data: dict[str, Any] | None = None,
    state: Path | None = None,
    save_every: int = 200,
    device: str | torch.device = "cpu",
) -> TrainingResult:
    """Train `network` in place on the cross-entropy of labelled batches; see `companion.fitting.loop.fit`.

    Args:
        network: is trained in place.
        draw: makes a batch of images and labels from a generator.
        config: the training.
        data: says in words and hashes what `draw` draws from; a state resumes only under the same.
        state: the file of a training that can be resumed; None keeps none.
        save_every: steps between two savings of the state.
        device: where the network is trained.

    Raises:
        ValueError: if a batch has no labels, or labels that are no classes of the network, or if `state` was
            left by another configuration.
        FloatingPointError: if the loss is no longer finite.
    """
    classes = network.config.classes

    def loss(generator: torch.Generator) -> Tensor:
        x, label = draw(config.batch, generator)
        if label is None or not ((label >= 0) & (label < classes)).all():
            raise ValueError(f"every image needs a label in [0, {classes - 1}], got {label}")
        return functional.cross_entropy(network(x.to(device)), label.to(device))

    context = {"loss": "cross-entropy", "data": data}
    return fit(network, loss, config, context=context, state=state, save_every=save_every, device=device)


checkpoint.register(Classifier, ClassifierConfig)
