"""An audit as its user has it: from files of a model, its images and harmless captions to a report."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from companion.fine_tuning.statistics import Measured
from companion.fine_tuning.training import loaded
from companion.fine_tuning.training_sets import FineTuneSet, unseen_images, write_images
from companion.organism import Caption
from companion.recipes import text_to_image
from memlib.audit import Audit, Report, Settings, training_set
from memlib.audit.training_set import opened, pixels
from memlib.files import write_text
from memlib.intervals import proportion
from memlib.screening import prompt_files


def audited(
    tuned: Path,
    data: FineTuneSet,
    home: Path,
    *,
    harmless: Sequence[Caption],
    held_out: int = 100,
    settings: Settings,
    device: str = "cpu",
) -> Report:
    """The report on a fine-tune of `organism_epsilon`.

    Args:
        tuned: what `fine_tune` wrote.
        data: what it was shown.
        home: a folder for `images`, `unseen`, `harmless.csv` and the `report`.
        harmless: captions that calibrate the list.
        held_out: images that no model has seen, which calibrate what counts as reproduced.
        settings: what is done.
        device: where the networks run.
    """
    images = data.write(home / "images")
    others = write_images(unseen_images(harmless, held_out, seed=settings.first_seed + 1), home / "unseen")
    text = io.StringIO()
    csv.writer(text).writerows([("caption", "family"), *((one.text, one.family) for one in harmless)])
    write_text(home / "harmless.csv", text.getvalue())
    return Audit(
        loaded(tuned, device=device),
        text_to_image.load("organism_epsilon", device=device),
        training_set.read(images),
        prompt_files.read(home / "harmless.csv"),
        settings=settings,
        held_out={path.name: path for path in others},
    ).run(home / "report")


def by_group(report: Report, data: FineTuneSet) -> list[dict[str, Any]]:
    """What a report says of the captions of each group of the data.

    Returns:
        For each group `group`, `captions`, and the shares of them that are `listed` and `reproduced`, with
        Wilson's intervals.
    """
    found = {one.caption: one for one in report.captions}
    rows = []
    for group in dict.fromkeys(data.groups):
        own = [found[c.text] for c, name in zip(data.captions, data.groups, strict=True) if name == group]
        rows.append(
            {
                "group": group,
                "captions": len(own),
                "listed": proportion([float(one.listed) for one in own]),
                "reproduced": proportion([float(one.reproduced > 0) for one in own]),
            }
        )
    return rows


def of_report(report: Report, data: FineTuneSet) -> Measured:
    """The statistics of a report, in the order of the data and in its groups."""
    found = {one.caption: one for one in report.captions}
    rows = [found[caption.text] for caption in data.captions]
    values = {name: np.array([one.values[name] for one in rows]) for name in report.statistics}
    return Measured(data.captions, data.groups, values)


def reproduced(report: Report, data: FineTuneSet) -> NDArray[np.bool_]:
    """Of each caption of the data, whether a training image came out under it."""
    found = {one.caption: bool(one.reproduced) for one in report.captions}
    return np.array([found[caption.text] for caption in data.captions])


def beside_training_images(
    data: FineTuneSet, reports: Mapping[str, tuple[Report, Path]]
) -> dict[str, NDArray[np.float32]]:
    """Rows of images in [-1, 1] of the captions shown most often: from the training, and one of each model.

    Args:
        data: what the models were shown.
        reports: title -> a report and the home of its audit; the image is that of the first noise.
    """
    most = [place for place, times in enumerate(data.times) if times == max(data.times)]
    first = torch.tensor([data.pairs.caption.tolist().index(place) for place in most])
    rows = {"training images": data.pairs.images(first).numpy()}
    for title, (report, home) in reports.items():
        found = {one.caption: one.pairs[0].generated for one in report.captions if one.pairs}
        files = [home / "report" / found[data.captions[place].text] for place in most]
        rows[title] = torch.stack([pixels(opened(file), 32, 32) for file in files]).numpy()
    return rows
