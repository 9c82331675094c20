"""What an audit found, as data with a schema (`report.json`) and as a page for people (`report.html`)."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, ConfigDict

from memlib.audit import significance
from memlib.audit.training_set import opened
from memlib.files import write_text
from memlib.intervals import Interval

_THUMBNAIL = 128
_JINJA: dict[str, Any] = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
JSON, HTML, SCHEMA = "report.json", "report.html", "report.schema.json"


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
        training: name of the training image, by the space in which it lies nearest beside the threshold.
        space: that space.
        ratios: by space, distance to the nearest training image over that to the next one that does not
            look like it.
        reproduced: whether the ratio is below the threshold in one of the spaces.
    """

    generated: str
    training: str
    space: str
    ratios: dict[str, float]
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


class Group(_Record):
    """Training images that look alike, by name, and how many of them are the same pixel by pixel."""

    images: list[str]
    exact: int
    captions: int


class TrainingSummary(_Record):
    """What the training set repeats: images with a twin, images that look alike, captions used twice.

    Attributes:
        groups: images that look alike, the largest group first.
    """

    images: int
    captions: int
    exact: int
    alike: int
    largest: int
    repeated_captions: int
    groups: list[Group]


class MitigatedCaption(_Record):
    """Copies among the images of a caption before and after a mitigation, and one image of each."""

    caption: str
    images: int
    before: int
    after: int
    image_before: str
    image_after: str


class Mitigation(_Record):
    """What a mitigation did to the worst captions.

    Attributes:
        method: its name, as `memlib generate --mitigate` takes it.
        skipped: why it was not tried, or "".
        threshold: what it was given, if it has one.
        images: of all captions.
        before: copies among them as they come.
        after: copies with the method.
    """

    method: str
    about: str
    skipped: str
    threshold: float | None
    images: int
    before: int
    after: int
    captions: list[MitigatedCaption]


class KnownImage(_Record):
    """What was found for an image without a prompt.

    Attributes:
        image: its name.
        complexity: bits a pixel as PNG.
        values: mean over noises of each statistic.
        p: share of held-out images that the model knows at least as well for their complexity, and itself.
        listed: whether it is in the list of the false discovery rate.
    """

    image: str
    complexity: float
    values: dict[str, float]
    p: float
    listed: bool


class Histogram(_Record):
    """Counts of several groups of values.

    Attributes:
        title: of what.
        edges: k + 1 of them, rising.
        counts: name of a group -> k counts.
        threshold: a value to be marked, or None.
        marked: what it is.
    """

    title: str
    edges: list[float]
    counts: dict[str, list[int]]
    threshold: float | None = None
    marked: str = ""

    def shares(self) -> dict[str, list[float]]:
        """Of each group that is not empty, its counts over the largest one of all groups' shares."""
        found = {name: np.divide(each, sum(each)) for name, each in self.counts.items() if sum(each)}
        most = max((some.max() for some in found.values()), default=1.0)
        return {name: (some / most).tolist() for name, some in found.items()}

    def place(self, value: float) -> float:
        """Where a value lies between the ends, in [0, 1]."""
        width = self.edges[-1] - self.edges[0]
        return min(1.0, max(0.0, (value - self.edges[0]) / width))


class Report(_Record):
    """The whole of a `report.json`.

    Attributes:
        captions: the most suspicious one first.
        at_least: entry k - 1 is a lower bound on the memorized among the first k captions, for all k at once
            at 95 %; empty without calibration.
        calibration: harmless captions that p-values rest on.
        of_family: those of them that each caption is compared with, in the smallest family.
        kept: tensors of weights of the model, how many of them the base has, and of its denoiser.
        thresholds: by space, ratio below which an image counts as reproduced; empty without a training set.
        innocents: what images that cannot be copies were calibrated on, or "".
        innocent: share of these that count.
        extracted: share of all captions under which a training image came out.
        mitigations: what each does about the worst captions; empty if they were not tried.
        images: images without prompts, the best known first.
        held_out: images that the model has not seen, with which these are compared.
        histograms: of the statistic that ranks and of the ratios in each space.
    """

    schema_version: int = 2
    memlib: str
    versions: dict[str, str]
    made: datetime
    model: str
    base: str | None
    kept: dict[str, int] | None
    identity: dict[str, str]
    settings: dict[str, str | int | float | bool | None]
    statistic: str
    statistics: dict[str, str]
    training: TrainingSummary | None
    captions: list[Caption]
    calibration: int
    of_family: int
    at_least: list[int]
    thresholds: dict[str, float]
    innocents: str
    innocent: Estimate | None
    extracted: Estimate | None
    mitigations: list[Mitigation]
    images: list[KnownImage]
    image_statistics: dict[str, str]
    held_out: int
    histograms: list[Histogram]
    verdict: list[str] = []
    advice: list[str] = []
    limits: list[str] = []

    @property
    def reproduced(self) -> list[Caption]:
        """Captions under which a training image came out."""
        return [caption for caption in self.captions if caption.reproduced]

    @property
    def copied(self) -> set[str]:
        """Names of the training images that came out."""
        return {pair.training for caption in self.captions for pair in caption.pairs if pair.reproduced}


def worded(report: Report) -> Report:
    """The same report with its sentences: `words.jinja` has a part for each list, with a sentence a line."""
    plain = Environment(finalize=_line, **_JINJA)  # noqa: S701 - plain text, which the page escapes
    text = plain.from_string(_source("words.jinja")).render(
        report=report, calibration_needed=significance.calibration_needed
    )
    parts = (part.splitlines() for part in re.split("^---$", text, flags=re.MULTILINE))
    lists = zip(("verdict", "advice", "limits"), parts, strict=True)
    return report.model_copy(
        update={name: [line.strip() for line in lines if line.strip()] for name, lines in lists}
    )


def write(report: Report, folder: Path, training: Mapping[str, Path], images: Mapping[str, Path]) -> None:
    """Write `report.json`, its schema and `report.html` into a folder, each whole.

    Args:
        report: what was found.
        folder: the folder, in which the generated images lie as the report names them.
        training: the training images by name, shown beside them.
        images: the images without prompts by name.
    """
    write_text(folder / SCHEMA, json.dumps(Report.model_json_schema(), indent=2) + "\n")
    write_text(folder / JSON, report.model_dump_json(indent=2) + "\n")
    environment = Environment(autoescape=True, **_JINJA)
    page = environment.from_string(_source("report.html.jinja")).render(
        report=report,
        generated=lambda name: _embedded(folder / name),
        training=lambda name: _embedded(training[name]),
        image=lambda name: _embedded(images[name]),
    )
    write_text(folder / HTML, page)


def _source(name: str) -> str:
    return resources.files("memlib.audit").joinpath(name).read_text(encoding="utf-8")


def _line(value: object) -> object:
    """A text as one line, since lines are sentences."""
    return " ".join(value.splitlines()) if isinstance(value, str) else value


def _embedded(path: Path) -> str:
    image = opened(path)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    kept = io.BytesIO()
    image.save(kept, "png")
    return f"data:image/png;base64,{base64.b64encode(kept.getvalue()).decode()}"
