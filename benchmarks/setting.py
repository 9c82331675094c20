"""The problem all benchmarks share: the score of a network at noised images, memorized ones and others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from benchmarks.text_to_image import FLOW, FULL_SIZE, TINY_FLOW
from benchmarks.text_to_image import TINY as TINY_PIPELINE
from benchmarks.timing import clock
from companion.datasets import mnist
from companion.recipes.mnist import COPIED, GENERAL, MNIST_COPIES, copied_image
from memlib import hessian
from memlib.networks import DiffusionModel, UNet, UNetConfig
from memlib.schedule import VariancePreserving
from memlib.score import Score, score_at


@dataclass(frozen=True)
class Sizes:
    """How much is measured. `SHIPPED` fills the results folder, `TINY` tries every line in seconds."""

    network: str = "mnist_copies"
    samples: int = 8  # the first half of the copied image, the second of the other class
    time: int = 20  # time index, of 1,000
    count_times: tuple[int, ...] = (20, 400)
    inner: int = 5  # products per timing
    directions: int = 16  # at once, in a product
    chunk: int = 64  # rows of a pass, in whole Jacobians
    krylov_steps: int = 64
    wanted: int = 8  # eigenvalues asked of the solvers
    basis: int = 48  # their basis
    solver_steps: int = 400  # products they may spend
    growth_samples: tuple[int, ...] = (1, 2, 4, 8, 16)
    growth_steps: tuple[int, ...] = (16, 32, 64, 128)
    budget: int = 60  # products of a trace
    repetitions: int = 40  # of a trace
    # Text to image.
    organism: str = "organism_epsilon"
    organism_base: str = "organism_without_copies"  # beside it, as what it began from
    full_size: str = FULL_SIZE
    seeds: int = 4  # of every prompt
    prompts: int = 64  # that share their noise
    screened: tuple[int, ...] = (125, 250, 500, 1000)  # prompts, to see time and memory grow
    batches: tuple[int, ...] = (16, 64, 256)  # rows in a pass
    batches_cuda: tuple[int, ...] = (64, 256, 1024, 4096)
    models: tuple[tuple[str, str], ...] = (("organism_epsilon", "float32"),)  # and their precision
    models_cuda: tuple[tuple[str, str], ...] = ((FULL_SIZE, "bfloat16"), (FLOW, "bfloat16"))
    fills: tuple[int, ...] = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)  # rows that are tried
    family_seeds: int = 32
    captions: int = 16
    caption_steps: int = 128  # of Arnoldi


SHIPPED = Sizes()
TINY = Sizes(
    network="tiny",
    samples=2,
    count_times=(20,),
    inner=1,
    directions=8,
    chunk=8,
    krylov_steps=12,
    wanted=2,
    basis=12,
    solver_steps=24,
    growth_samples=(1, 2),
    growth_steps=(8, 16),
    budget=12,
    repetitions=4,
    organism=TINY_PIPELINE,
    organism_base=TINY_PIPELINE,
    full_size=TINY_PIPELINE,
    seeds=2,
    prompts=4,
    screened=(2, 4),
    batches=(4, 8),
    batches_cuda=(4, 8),
    models=((TINY_PIPELINE, "float32"), (TINY_FLOW, "bfloat16")),
    models_cuda=(),
    fills=(2, 4),
    family_seeds=2,
    captions=2,
    caption_steps=6,
)


@dataclass(frozen=True)
class Problem:
    """A score at points, and the truth about its Jacobians.

    Attributes:
        score: of every point under its own label.
        x: the points.
        labels: one per point.
        model: what the score is made of.
        time: time index.
    """

    score: Score
    x: Tensor
    labels: Tensor
    model: DiffusionModel
    time: int

    @property
    def threshold(self) -> float:
        """Half-way between an isolated point and a free direction."""
        return -0.5 / self.score.sigma**2

    def single(self, index: int) -> tuple[Score, Tensor]:
        """The score of one point, and that point as a batch of one."""
        rows = slice(index, index + 1)
        return score_at(self.model, self.time, self.labels[rows]), self.x[rows]

    @property
    def truth(self) -> hessian.DenseSpectrum:
        """Every matrix, J^T of each point, and the spectrum of the symmetric part; computed once."""
        return self.timed_truth[0]

    @cached_property
    def timed_truth(self) -> tuple[hessian.DenseSpectrum, float]:
        """The truth and the seconds it took."""
        with hessian.JacobianOperator(self.score, self.x) as op:
            seconds, truth = clock(lambda: hessian.dense(op), self.x.device)
        return truth, seconds


@dataclass
class Bench:
    """What a benchmark is given.

    Attributes:
        sizes: how much to measure.
        device: "cpu", or a CUDA device.
        rounds: timed rounds of each comparison.
        say: told what runs now.
    """

    sizes: Sizes
    device: str
    rounds: int
    say: Callable[[str], None] = lambda _: None
    _known: dict[tuple[int, int], Problem] = field(default_factory=dict)

    @property
    def few(self) -> int:
        """Rounds of comparisons that take long, at most half as many."""
        return (self.rounds + 1) // 2

    def problem(self, samples: int | None = None, time: int | None = None) -> Problem:
        """The problem with that many points at that time; the same object each time it is asked for."""
        key = (samples or self.sizes.samples, self.sizes.time if time is None else time)
        if key not in self._known:
            self._known[key] = build(self.sizes.network, *key, self.device)
        return self._known[key]


def build(network: str, samples: int, time: int, device: str) -> Problem:
    """The problem on a shipped network, or on a tiny one with random weights."""
    model, clean, labels = _tiny(samples) if network == "tiny" else _mnist(samples)
    model.network.to(device)
    alpha, sigma = model.schedule.alpha(time).item(), model.schedule.sigma(time).item()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    x, labels = (alpha * clean + sigma * noise).to(device), labels.to(device)
    return Problem(score_at(model, time, labels), x, labels, model, time)


def _mnist(samples: int) -> tuple[DiffusionModel, Tensor, Tensor]:
    copied = samples // 2
    images = [copied_image()] * copied + list(mnist.digit(GENERAL, samples - copied, "test"))
    labels = torch.tensor([COPIED] * copied + [GENERAL] * (samples - copied))
    return MNIST_COPIES.load().model, torch.stack(images), labels


def _tiny(samples: int) -> tuple[DiffusionModel, Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = UNet(UNetConfig(image_size=8, channels=(8, 16), blocks=1))
        for parameter in network.parameters():  # zero-initialised layers would make the score constant
            torch.nn.init.normal_(parameter, std=0.1)
    images = torch.rand(samples, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    model = DiffusionModel(network.eval().requires_grad_(False), VariancePreserving.linear())
    return model, images, torch.arange(samples) % 2
