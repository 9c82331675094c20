"""What an audit found, as data with a schema (`report.json`) and as a page for people (`report.html`)."""

from __future__ import annotations

import base64
import io
from datetime import datetime
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, ConfigDict

from memlib.audit.training_set import Example
from memlib.files import write_text
from memlib.intervals import Interval

_THUMBNAIL = 128
JSON, HTML = "report.json", "report.html"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimate(_Record):
    """A number with its 95 % interval and the n behind it."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, interval: Interval) -> Estimate:
        """From an interval."""
        return cls(value=interval.value, low=interval.low, high=interval.high, n=interval.n)


class Pair(_Record):
    """A generated image and the training image nearest to it.

    Attributes:
        generated: file below the report's folder.
        training: name of the training image.
        ratio: distance to it over that to the next one that does not look like it.
        reproduced: whether that is below the threshold.
    """

    generated: str
    training: str
    ratio: float
    reproduced: bool


class Caption(_Record):
    """What was found for one caption.

    Attributes:
        caption: its text.
        origin: "training", or "prompt" for one given beyond the training set.
        images: training images with this caption.
        alike: training images that look like one of these, themselves included.
        values: mean over seeds of each statistic.
        p: its p-value against the calibration; None without one.
        listed: whether it is in the list of the false discovery rate.
        looked_at: why its images were generated: "suspicious", "random", or None if they were not.
        pairs: one for each generated image.
    """

    caption: str
    origin: str
    images: int
    alike: int
    values: dict[str, float]
    p: float | None
    listed: bool
    looked_at: str | None = None
    pairs: list[Pair] = []

    @property
    def reproduced(self) -> int:
        """How many of its generated images are training images."""
        return sum(pair.reproduced for pair in self.pairs)


class TrainingSummary(_Record):
    """What the training set repeats: images with a twin, images that look alike, captions used twice."""

    images: int
    captions: int
    exact: int
    alike: int
    largest: int
    repeated_captions: int


class Report(_Record):
    """The whole of a `report.json`.

    Attributes:
        captions: the most suspicious one first.
        at_least: entry k - 1 is a lower bound on the memorized among the first k captions, for all k at once
            at 95 %; empty without calibration.
        calibration: harmless captions that p-values rest on.
        threshold: ratio below which an image counts as reproduced.
        innocent: share of images below it that cannot be copies.
        extracted: share of all captions under which a training image came out.
    """

    schema_version: int = 1
    memlib: str
    versions: dict[str, str]
    made: datetime
    model: str
    base: str | None
    identity: dict[str, str]
    settings: dict[str, str | int | float | bool | None]
    statistic: str
    statistics: dict[str, str]
    training: TrainingSummary
    captions: list[Caption]
    calibration: int
    at_least: list[int]
    threshold: float
    innocent: Estimate | None
    extracted: Estimate | None
    verdict: list[str]
    advice: list[str]
    limits: list[str]


def write(report: Report, folder: Path, examples: dict[str, Example]) -> None:
    """Write `report.json` and `report.html` into a folder, each whole.

    Args:
        report: what was found.
        folder: the folder, in which the generated images lie as the report names them.
        examples: the training images by name, shown beside them.
    """
    write_text(folder / JSON, report.model_dump_json(indent=2) + "\n")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["interval"] = lambda e: f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}], n = {e.n:,}"
    template = resources.files("memlib.audit").joinpath("report.html.jinja").read_text(encoding="utf-8")

    def generated(name: str) -> str:
        return _embedded(Example(name, folder / name, ""))

    def training(name: str) -> str:
        return _embedded(examples[name])

    page = environment.from_string(template).render(report=report, generated=generated, training=training)
    write_text(folder / HTML, page)


def _embedded(example: Example) -> str:
    image = example.open()
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    kept = io.BytesIO()
    image.save(kept, "png")
    return f"data:image/png;base64,{base64.b64encode(kept.getvalue()).decode()}"
