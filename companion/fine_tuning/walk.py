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
from companion.fine_tuning.unseen import unseen_images, write_images, write_set
from companion.organism import Caption
from companion.organism.fine_tune_set import FineTuneSet
from companion.recipes import text_to_image
from companion.recipes.organism import ORGANISM_EPSILON
from memlib.audit import Audit, Report, Settings, training_set
from memlib.audit.training_set import opened, pixels
from memlib.files import write_text
from memlib.intervals import proportion
from memlib.screening import prompt_files
from memlib.text_to_image import TextToImage


def loaded(tuned: Path, *, device: str = "cpu") -> TextToImage:
    """A fine-tune of `organism_epsilon`, a folder or the file of a LoRA, as `memlib audit` reads it."""
    if tuned.is_dir():
        return TextToImage.load(tuned, device=device)
    return TextToImage.load(ORGANISM_EPSILON.folder, device=device, lora=tuned)


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
        tuned: the file of a LoRA or the folder of a pipeline.
        data: what it was shown.
        home: a folder for `images`, `unseen`, `harmless.csv` and the `report`.
        harmless: captions that calibrate the list.
        held_out: images that no model has seen, which calibrate what counts as reproduced.
        settings: what is done.
        device: where the networks run.
    """
    images = write_set(data, home / "images")
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

    Args:
        report: of an audit.
        data: what the audited model was shown.

    Returns:
        For each group `group`, `captions`, and the shares of them that are `listed`, under which their own
        image is `reproduced`, and `another` training image, with Wilson's intervals.
    """
    told = {
        "listed": listed(report, data),
        "reproduced": reproduced(report, data),
        "another": reproduced(report, data, own=False),
    }
    rows = []
    for group in dict.fromkeys(data.groups):
        here = np.array([name == group for name in data.groups])
        shares = {name: proportion(flags[here].astype(float)) for name, flags in told.items()}
        rows.append({"group": group, "captions": int(here.sum())} | shares)
    return rows


def of_report(report: Report, data: FineTuneSet) -> Measured:
    """The statistics of a report, in the order of the data and in its groups."""
    found = {one.caption: one for one in report.captions}
    rows = [found[caption.text] for caption in data.captions]
    values = {name: np.array([one.values[name] for one in rows]) for name in report.statistics}
    return Measured(data.captions, data.groups, values)


def listed(report: Report, data: FineTuneSet) -> NDArray[np.bool_]:
    """Of each caption of the data, whether the report lists it."""
    found = {one.caption: one.listed for one in report.captions}
    return np.array([found[caption.text] for caption in data.captions])


def reproduced(report: Report, data: FineTuneSet, *, own: bool = True) -> NDArray[np.bool_]:
    """Of each caption of the data, whether its own image came out under it, or that of another caption."""
    found = {one.caption: one for one in report.captions}
    owner = data.pairs.caption.tolist()  # of the image files, by their number
    return np.array(
        [
            any(
                pair.reproduced and (owner[int(Path(pair.training).stem)] == place) is own
                for pair in found[caption.text].pairs
            )
            for place, caption in enumerate(data.captions)
        ]
    )


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
