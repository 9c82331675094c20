"""The monitor of a training: when to look, the table that a resumed training goes on from, the warning."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from memlib.files import whole, write_text
from memlib.monitor.curve import draw
from memlib.monitor.points import Points, ScoreAt, mirrored
from memlib.monitor.sequential import Look, SequentialTest

SETTINGS, TABLE, CURVE = "monitor.json", "monitor.csv", "monitor.svg"
NAMES = ("minus_log_error", "sharpness")
_PER_SAMPLE = 3  # passes of a training step for one image: forward, and twice as much backward


@dataclass(frozen=True)
class Check:
    """One look at the network.

    Attributes:
        step: after how many training steps.
        alarm: whether the warning has been given, here or earlier.
        p_value: share of random labelings of the points that look as extreme at this step alone.
        evidence: the statistic, time and kind ("value" or "change" since the first check) that is farthest
            apart.
    """

    step: int
    alarm: bool
    p_value: float
    evidence: str


class Monitor:
    """Watches a training through fixed points.

    Args:
        network: what is trained; it is in evaluation mode during a check and as it was afterwards.
        score: time and numbers of points -> the network's score there. Numbers count the training images
            first, then the held-out ones; twins have the numbers of their originals.
        training: at least 4 training images `(n, *sample_shape)`, chosen by chance, on the network's device.
        held_out: at least 4 images from the same source that the training never sees; None takes the mirror
            images of `training` (see `mirrored`).
        times: noise levels to look at; where the loss is neither all signal nor all noise.
        batch: images of a training step, over all devices and accumulated gradients.
        folder: for the table, the curve and the settings; a monitor that finds its own table goes on there.
        most: the largest share of the training's passes that checks may take.
        level: the probability of a false alarm over the whole training.
        seed: of noises, directions and labelings.
        rows: points that go through the network at once.

    Attributes:
        period: steps from one check to the next, so that the checks stay below `most`.
        checks: all so far.

    Raises:
        ValueError: too few images, or a table in `folder` that other settings have left.
    """

    def __init__(
        self,
        network: nn.Module,
        score: ScoreAt,
        training: Float[Tensor, "n ..."],
        held_out: Float[Tensor, "m ..."] | None,
        *,
        times: Sequence[float],
        batch: int,
        folder: Path,
        most: float = 0.05,
        level: float = 0.01,
        seed: int = 0,
        rows: int = 16,
    ) -> None:
        if not (0 < most <= 1 and batch >= 1):
            raise ValueError(f"most must lie in (0, 1] and batch be at least 1, got {most} and {batch}")
        others = mirrored(training) if held_out is None else held_out
        self.network, self.score, self.folder = network, score, folder
        self.points = Points(
            torch.cat([training, others]), len(training), tuple(times), held_out is None, seed, rows
        )
        self.member = torch.arange(len(self.points.images)) < len(training)
        self._test = SequentialTest(self.member, paired=held_out is None, level=level, seed=seed)
        self.period = math.ceil(self.points.passes / (most * _PER_SAMPLE * batch))
        self.checks: list[Check] = []
        self._found: dict[int, Tensor] = {}
        self._resume(level)

    def step(self, step: int) -> Check | None:
        """Call after every optimiser step, and with 0 before the first.

        Args:
            step: the number of steps made.

        Returns:
            The check, if one was due and is not in the table already.
        """
        if step % self.period or step in self._found:
            return None
        with _evaluating(self.network):
            found = self.points.measure(self.score)
        check = self._add(step, found)
        self._write()
        return check

    def _add(self, step: int, found: Float[Tensor, "times n 2"]) -> Check:
        first = next(iter(self._found.values()), None)
        self._found[step] = found
        kinds = [found] if first is None else [found, found - first]
        look = self._test.look(torch.stack(kinds).permute(2, 0, 1, 3).flatten(1))
        self.checks.append(Check(step, look.alarm, look.p_value, self._evidence(look)))
        return self.checks[-1]

    def _evidence(self, look: Look) -> str:
        rest, name = divmod(look.column, len(NAMES))
        kind, time = divmod(rest, len(self.points.times))
        return f"{NAMES[name]} at t = {self.points.times[time]:g}, {('value', 'change')[kind]}"

    def _settings(self, level: float) -> str:
        content = self.points.images.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
        kept = {name: getattr(self.points, name) for name in ("training", "times", "paired", "seed")}
        settings = kept | {"level": level, "images": hashlib.sha256(content).hexdigest()}
        return json.dumps(settings, indent=1) + "\n"

    def _resume(self, level: float) -> None:
        settings, file = self._settings(level), self.folder / SETTINGS
        if file.is_file() and file.read_text(encoding="utf-8") != settings:
            came = file.read_text(encoding="utf-8")
            raise ValueError(
                f"{file} was left by another monitor, {came}, not {settings}; take another folder"
            )
        write_text(file, settings)
        if not (self.folder / TABLE).is_file():
            return
        with (self.folder / TABLE).open(newline="", encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
        values = torch.tensor([[float(row[name]) for name in NAMES] for row in rows], dtype=torch.float64)
        found = values.view(-1, len(self.points.times), len(self.points.images), len(NAMES))
        for step, of in zip(dict.fromkeys(int(row["step"]) for row in rows), found, strict=True):
            self._add(step, of)

    def _write(self) -> None:
        with whole(self.folder / TABLE) as path, path.open("w", newline="", encoding="utf-8") as table:
            lines = csv.writer(table)
            lines.writerow(("step", "time", "point", "training", *NAMES))
            for step, found in self._found.items():
                for t, of_time in zip(self.points.times, found.tolist(), strict=True):
                    for i, values in enumerate(of_time):
                        lines.writerow([step, t, i, int(self.member[i]), *map(repr, values)])
        warned = next((check.step for check in self.checks if check.alarm), None)
        # A picture costs more than a check: at the warning, and the more checks the more rarely.
        if len(self.checks).bit_count() <= 2 or warned == self.checks[-1].step:
            draw(self.folder / CURVE, self._found, self.points, warned)


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, and every module's own mode again afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
