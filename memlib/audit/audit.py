"""An audit from beginning to end: training set, screening, verification, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet

from memlib.audit import duplicates, mitigations, noised, ranking, reporting, spaces, verification
from memlib.audit.against_base import AgainstBase, Kept, check_related
from memlib.audit.duplicates import Repetition
from memlib.audit.noised import NoisedImages
from memlib.audit.ranking import Means, Ranking
from memlib.audit.report import Report, write
from memlib.audit.spaces import Encoder
from memlib.audit.training_set import Example, TrainingSetError, opened
from memlib.audit.verification import Judge, Match
from memlib.screening import Images, Screening, guided, identity, noises, prompt_files
from memlib.screening.tasks import default_product
from memlib.text_to_image import TextToImage

VALUES, GENERATED, INNOCENT = "values", "images", "innocent_images"
"""Names of the tables and folders of an audit."""
KNOWN, KNOWN_HELD_OUT = "images_without_prompts", "held_out_images"
WORST = 10
"""Captions on which mitigations are tried, at most."""


@dataclass(frozen=True)
class Settings:
    """What an audit does.

    Attributes:
        seeds: noises at which every caption is screened, and images of each caption that is looked at.
        first_seed: seeds count from here.
        average_steps: first steps of sampling at which captions are screened; their statistics are averaged.
        num_inference_steps: steps of a whole sampling.
        guidance: scale of classifier-free guidance of the images.
        rate: false discovery rate of the list, in (0, 1).
        pooled: compare captions with all harmless ones and not with those of their family alone. It has to be
            decided before the values are seen.
        suspicious: most suspicious captions whose images are generated, beside those of the list.
        random: captions drawn from the others, to estimate their share of copies.
        innocent: harmless captions whose images calibrate what counts as reproduced, at most.
        mitigate: try every mitigation on the worst captions.
    """

    seeds: int = 4
    first_seed: int = 0
    average_steps: int = 1
    num_inference_steps: int = 50
    guidance: float = 7.5
    rate: float = 0.1
    suspicious: int = 20
    random: int = 40
    innocent: int = 50
    mitigate: bool = False
    pooled: bool = False

    @property
    def sampling(self) -> dict[str, Any]:
        """What of it says how images are sampled."""
        return {"num_inference_steps": self.num_inference_steps, "guidance": self.guidance}


@dataclass(frozen=True, eq=False)
class Audit:
    """All that determines a report.

    Attributes:
        model: the fine-tuned model.
        base: the model that it was fine-tuned from, or None.
        examples: the training images with their captions; without them no image can be verified.
        calibration: prompts that are known to be harmless, as `prompt_files.read` gives them, or None.
        prompts: prompts beyond the training set, or None.
        settings: what is done.
        images: images without prompts, by name: does the model know them?
        held_out: images that the model has not seen, by name.
        encoder: a vision model in whose features images are compared, too.
    """

    model: TextToImage
    base: TextToImage | None = None
    examples: Sequence[Example] = ()
    calibration: pa.Table | None = None
    prompts: pa.Table | None = None
    settings: Settings = field(default_factory=Settings)
    images: Mapping[str, Path] = field(default_factory=dict)
    held_out: Mapping[str, Path] = field(default_factory=dict)
    encoder: Encoder | None = None

    def run(
        self, out: Path, *, rows: int | None = None, restart: bool = False, progress: bool = False
    ) -> Report:
        """Do what is missing and write `report.json` and `report.html` into a folder.

        Whatever stops it, the same call goes on where it was, and the report is that of an uninterrupted one
        but for its time.

        Args:
            out: the folder; values, images and the report lie in it.
            rows: captions times seeds at a time; None finds out what fits.
            restart: discard earlier results.
            progress: show progress bars.

        Raises:
            ValueError: nothing to look at, a base that is none of this model, fewer than two calibration
                captions or one that was trained on, images without held-out ones, a held-out image that was
                trained on, or what `Screening.run` refuses.
        """
        self._check()
        run = Run(self, out, {"rows": rows, "restart": restart, "progress": progress})
        found = reporting.of_run(run)
        write(found, out, {example.name: example.path for example in self.examples}, self.images)
        return found

    def _check(self) -> None:
        if not (self.examples or self.images) and self.prompts is None:
            raise ValueError("nothing to look at: give training images, prompts, or images without prompts")
        if self.images and len(self.held_out) < 2:
            raise ValueError(
                f"images without prompts are compared with images that the model has not seen, and there are "
                f"{len(self.held_out)}; give many of like complexity (--held-out)"
            )
        if self.calibration is None:
            return
        if len(self.calibration) < 2:
            raise ValueError(
                f"{len(self.calibration)} calibration caption does not say what is usual; give many, or none"
            )
        trained = {example.caption for example in self.examples}
        if both := [text for text in self.calibration["prompt"].to_pylist() if text in trained]:
            raise ValueError(
                f"{len(both)} calibration captions are those of training images, such as {both[0][:60]!r}; "
                "expected captions whose images were not trained on"
            )


@dataclass(frozen=True, eq=False)
class Run:
    """An audit and where its results lie; each part is done, or found done, when it is first asked for.

    Attributes:
        audit: what is done.
        out: the folder.
        options: of `Screening.run`.
    """

    audit: Audit
    out: Path
    options: dict[str, Any]

    @property
    def settings(self) -> Settings:
        """Those of the audit."""
        return self.audit.settings

    @cached_property
    def seeds(self) -> range:
        """The seeds of all noises."""
        return range(self.settings.first_seed, self.settings.first_seed + self.settings.seeds)

    @cached_property
    def kept(self) -> Kept | None:
        """What the fine-tune left of the base's weights."""
        return None if self.audit.base is None else check_related(self.audit.model, self.audit.base)

    @cached_property
    def facts(self) -> dict[str, dict[str, Any]]:
        """`identity.facts` of "model" and "base"."""
        models = {"model": self.audit.model, "base": self.audit.base}
        return {name: identity.facts(model) for name, model in models.items() if model is not None}

    @cached_property
    def repeated(self) -> Repetition:
        """The groups of training images that look alike."""
        found = duplicates.repetition(
            self.audit.examples, self.audit.encoder, progress=self.options["progress"]
        )
        trained = dict(zip(found.digests, self.audit.examples, strict=True))
        for name, path in self.audit.held_out.items():
            if (same := trained.get(duplicates.digest(opened(path)))) is not None:
                raise TrainingSetError(
                    f"{name} is held out, and is the training image {same.name}; expected images that the "
                    "model has not seen"
                )
        return found

    @cached_property
    def captions(self) -> pa.Table:
        """One row for each different caption: of the training set in its order, then prompts beyond it."""
        rows = {example.caption: example.family for example in reversed(self.audit.examples)}
        texts = list(dict.fromkeys(example.caption for example in self.audit.examples))
        columns = {"prompt": texts, "label": [None] * len(texts), "family": [rows[text] for text in texts]}
        table = pa.table(columns, prompt_files.SCHEMA)
        if self.audit.prompts is None:
            return table
        fresh = [text not in rows for text in self.audit.prompts["prompt"].to_pylist()]
        return pa.concat_tables([table, self.audit.prompts.filter(pa.array(fresh, pa.bool_()))])

    @cached_property
    def table(self) -> pa.Table:
        """The captions and after them, where "reference" is true, those of the calibration."""
        harmless = self.audit.calibration
        return prompt_files.with_reference(
            self.captions, prompt_files.SCHEMA.empty_table() if harmless is None else harmless
        )

    @cached_property
    def means(self) -> Means:
        """Of each statistic the means over seeds, a value for each row of `table`."""
        audit, settings = self.audit, self.settings
        self._ranked({"excess": np.zeros(len(self.table))})  # refuses families before the work
        known = {**self.settings.sampling, "average_steps": settings.average_steps}
        known["product"] = default_product(audit.model)
        task = AgainstBase(audit.model, audit.base, noises(audit.model, self.seeds), **known)
        known |= {"command": "audit", "base": self.facts.get("base")}
        path = self.out / f"{VALUES}.parquet"
        Screening(
            audit.model, self.table, self.seeds, task, task.statistics, known, facts=self.facts["model"]
        ).run(path, **self.options)
        found = parquet.read_table(path, columns=list(task.statistics))
        n = len(self.seeds)
        return {name: found[name].to_numpy().reshape(-1, n).mean(1) for name in task.statistics}

    @cached_property
    def ranking(self) -> Ranking:
        """The captions by suspicion."""
        return self._ranked(self.means) if len(self.captions) else ranking.NOTHING

    def _ranked(self, means: Means) -> Ranking:
        return ranking.ranked(means, self.table, self.settings.rate, pooled=self.settings.pooled)

    @cached_property
    def chosen(self) -> dict[int, str]:
        """Rows whose images are generated, and why; none without training images to hold them against."""
        if not self.audit.examples:
            return {}
        order, listed = self.ranking.order.tolist(), set(np.flatnonzero(self.ranking.listed).tolist())
        first = [row for k, row in enumerate(order) if k < self.settings.suspicious or row in listed]
        others = sorted(set(order) - set(first))
        drawn = torch.randperm(len(others), generator=torch.Generator().manual_seed(self.settings.first_seed))
        some = sorted(others[k] for k in drawn[: self.settings.random].tolist())
        return dict.fromkeys(first, "suspicious") | dict.fromkeys(some, "random")

    @cached_property
    def generated(self) -> dict[int, list[Path]]:
        """Files of the images of each chosen row, one for each seed."""
        if not self.chosen:
            return {}
        rows = self.table.take(pa.array(list(self.chosen)))
        return dict(zip(self.chosen, self._images(GENERATED, "model", rows), strict=True))

    def _images(self, name: str, who: str, prompts: pa.Table) -> list[list[Path]]:
        """Files of the images of each prompt by the "model" or the "base", one for each seed."""
        model = self.audit.base if who == "base" and self.audit.base is not None else self.audit.model
        sampling = self.settings.sampling
        task = Images(model, noises(model, self.seeds), guided(**sampling))
        known = {"command": f"audit, {name}", **sampling}
        folder, path, n = self.out / name, self.out / f"{name}.parquet", len(self.seeds)
        Screening(
            model, prompts, self.seeds, task, (), known, folder, facts=self.facts[who]
        ).run(path, **self.options)  # fmt: skip
        files = [folder / file for file in parquet.read_table(path, columns=["image"])["image"].to_pylist()]
        return [files[start : start + n] for start in range(0, len(files), n)]

    @cached_property
    def innocent(self) -> tuple[str, list[Path]]:
        """Images that cannot be copies and what they are: held out, of the base, under harmless captions."""
        audit, who = self.audit, "model" if self.audit.base is None else "base"
        if audit.held_out:
            return "held out", list(audit.held_out.values())
        if audit.calibration is not None:
            prompts, under = audit.calibration.slice(0, self.settings.innocent), "harmless captions"
        elif audit.base is not None:
            prompts, under = self.table.take(pa.array(list(self.chosen))), "the same captions"
        else:
            return "", []
        return f"of the {who}, under {under}", list(chain(*self._images(INNOCENT, who, prompts)))

    @cached_property
    def judge(self) -> Judge:
        """What counts as reproduced."""
        library = verification.Library(
            [example.path for example in self.audit.examples],
            self.repeated.group,
            spaces.spaces(self.audit.model, self.audit.encoder),
            progress=self.options["progress"],
        )
        return verification.calibrated(library, self.innocent[1])

    @cached_property
    def matches(self) -> dict[Path, Match]:
        """The nearest training images of all generated ones."""
        return self.judge.matches(list(chain(*self.generated.values()))) if self.generated else {}

    @cached_property
    def worst(self) -> list[int]:
        """Rows under which most copies came out, the most suspicious first where they are equal."""
        copies = {
            row: sum(self.matches[f].reproduced for f in files) for row, files in self.generated.items()
        }
        return sorted((row for row, count in copies.items() if count), key=lambda row: -copies[row])[:WORST]

    @cached_property
    def trials(self) -> list[mitigations.Trial]:
        """What every mitigation does about the worst rows."""
        if not (self.settings.mitigate and self.worst):
            return []
        return mitigations.tried(self, self.worst)

    @cached_property
    def known(self) -> tuple[pa.Table, pa.Table] | None:
        """Statistics of the images without prompts and of those held out; None if there are none."""
        audit = self.audit
        if not audit.images:
            return None
        t = noised.level_time(audit.model, self.settings.num_inference_steps)
        noise = noises(audit.model, self.seeds)
        task = NoisedImages(audit.model, audit.base, noise, t, default_product(audit.model))
        known = {"command": "audit, images", "seeds": list(self.seeds), **self.facts}
        first, second = (
            noised.screen(task, list(files.values()), self.out / f"{name}.parquet", known, **self.options)
            for name, files in ((KNOWN, audit.images), (KNOWN_HELD_OUT, audit.held_out))
        )
        return first, second
