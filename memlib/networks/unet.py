"""A small class-conditional U-Net for images (Ronneberger et al. 2015; Ho et al. 2020), smooth throughout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from memlib import checks
from memlib.networks.embedding import TimeEmbedding, expand_index


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of a `UNet`.

    Attributes:
        image_channels: 1 for grey, 3 for colour.
        image_size: height and width.
        patch: pixels are folded `patch x patch` into channels before the first convolution, which divides the
            cost by patch**2.
        channels: width at each resolution, multiples of 8, halving the resolution from one to the next.
        blocks: residual blocks per resolution on the way down (one more on the way up).
        attention: self-attention at the lowest resolution.
        classes: number of class labels; one more embedding stands for "no class".
    """

    image_channels: int = 1
    image_size: int = 28
    patch: int = 2
    channels: tuple[int, ...] = (48, 96)
    blocks: int = 2
    attention: bool = True
    classes: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))  # JSON gives a list
        smallest = self.patch * 2 ** (len(self.channels) - 1)
        if self.image_size % smallest:
            raise ValueError(
                f"image_size={self.image_size} cannot be folded by patch={self.patch} and halved "
                f"{len(self.channels) - 1} times; it must be a multiple of {smallest}"
            )

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return (self.image_channels, self.image_size, self.image_size)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(num_groups=8, num_channels=channels)


def _zero_conv(incoming: int, outgoing: int, kernel: int) -> nn.Conv2d:
    """A convolution that starts at zero, so that every residual branch starts as the identity."""
    conv = nn.Conv2d(incoming, outgoing, kernel, padding=kernel // 2)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # the convolution has a bias
    return conv


class ResidualBlock(nn.Module):
    """Two convolutions; the embedding scales and shifts the second normalisation (Dhariwal & Nichol 2021)."""

    def __init__(self, incoming: int, outgoing: int, embedding: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(incoming), nn.SiLU(), nn.Conv2d(incoming, outgoing, 3, padding=1))
        self.modulation = nn.Linear(embedding, 2 * outgoing)
        self.norm = _norm(outgoing)
        self.second = nn.Sequential(nn.SiLU(), _zero_conv(outgoing, outgoing, 3))
        self.skip = nn.Identity() if incoming == outgoing else nn.Conv2d(incoming, outgoing, 1)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Features `(B, outgoing, H, W)` from `h (B, incoming, H, W)`, `embedding (B, width)`."""
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        changed = self.second(self.norm(self.first(h)) * (1 + scale) + shift)
        out: Tensor = self.skip(h) + changed
        return out


class SelfAttention(nn.Module):
    """Multi-head self-attention over positions, residual (Vaswani et al. 2017)."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = _norm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = _zero_conv(channels, channels, 1)

    def forward(self, h: Tensor) -> Tensor:
        """Features of the same shape as `h (B, channels, H, W)`."""
        batch, channels, height, width = h.shape
        qkv = self.to_qkv(self.norm(h)).reshape(batch, 3, self.heads, channels // self.heads, height * width)
        q, k, v = qkv.transpose(-1, -2).unbind(dim=1)
        attended = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = h + self.out(attended.transpose(-1, -2).reshape(batch, channels, height, width))
        return out


class UNet(nn.Module):
    """Residual blocks down and up with skip connections, attention at the bottom, classes as embeddings."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, embedding = config.channels, 4 * config.channels[0]
        folded = config.image_channels * config.patch**2
        self.time = TimeEmbedding(embedding)
        self.label = nn.Embedding(config.classes + 1, embedding)
        self.enter = nn.Conv2d(folded, widths[0], 3, padding=1)

        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        current, skips = widths[0], [widths[0]]
        for level, width in enumerate(widths):
            stage = nn.ModuleList()
            for _ in range(config.blocks):
                stage.append(ResidualBlock(current, width, embedding))
                current = width
                skips.append(width)
            self.down.append(stage)
            last = level == len(widths) - 1
            self.shrink.append(nn.Identity() if last else nn.Conv2d(width, width, 3, stride=2, padding=1))
            if not last:
                skips.append(width)

        self.middle_in = ResidualBlock(current, current, embedding)
        self.attention = SelfAttention(current) if config.attention else nn.Identity()
        self.middle_out = ResidualBlock(current, current, embedding)

        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            stage = nn.ModuleList()
            for _ in range(config.blocks + 1):
                stage.append(ResidualBlock(current + skips.pop(), width, embedding))
                current = width
            self.up.append(stage)
            self.grow.append(nn.Identity() if level == 0 else nn.Conv2d(width, width, 3, padding=1))

        self.leave = nn.Sequential(_norm(current), nn.SiLU(), _zero_conv(current, folded, 3))

    def forward(
        self, x: Float[Tensor, "B C H W"], t: int | Tensor, label: int | Tensor | None = None
    ) -> Float[Tensor, "B C H W"]:
        """Prediction at `x` and time `t`, an int or `(B,)`.

        `label` is an int or `(B,)`; None, or `config.classes`, asks for the unconditional prediction.

        Raises:
            ValueError: another shape, a label out of range, or one for a network without classes.
        """
        checks.shaped("x", x, self.config.sample_shape)
        label = self.config.classes if label is None else label
        if isinstance(label, int) and not 0 <= label <= self.config.classes:
            raise ValueError(
                f"label must lie in [0, {self.config.classes}], where the last means no class, got {label}"
            )
        embedding = self.time(expand_index("t", t, len(x), x.device))
        embedding = functional.silu(embedding + self.label(expand_index("label", label, len(x), x.device)))

        h = self.enter(functional.pixel_unshuffle(x, self.config.patch))
        skips = [h]
        for stage, shrink in zip(self.down, self.shrink, strict=True):
            for block in stage:  # type: ignore[attr-defined]  # a ModuleList iterates over its blocks
                h = block(h, embedding)
                skips.append(h)
            if not isinstance(shrink, nn.Identity):
                h = shrink(h)
                skips.append(h)

        h = self.middle_out(self.attention(self.middle_in(h, embedding)), embedding)

        for stage, grow in zip(self.up, self.grow, strict=True):
            for block in stage:  # type: ignore[attr-defined]
                h = block(torch.cat([h, skips.pop()], dim=1), embedding)
            if not isinstance(grow, nn.Identity):
                h = grow(functional.interpolate(h, scale_factor=2.0, mode="nearest"))
        return functional.pixel_shuffle(self.leave(h), self.config.patch)
