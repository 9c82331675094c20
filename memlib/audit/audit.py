"""An audit from beginning to end: training set, screening, verification, report."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pyarrow import parquet

from memlib import __version__
from memlib.audit import duplicates, report, significance, verification, words
from memlib.audit.against_base import STATISTICS, AgainstBase, check_related
from memlib.audit.duplicates import Repetition
from memlib.audit.report import Caption, Estimate, Pair, Report, TrainingSummary
from memlib.audit.training_set import Example
from memlib.screening import Images, Screening, guided, identity, noises, prompt_files
from memlib.text_to_image import TextToImage

VALUES, GENERATED, INNOCENT = "values", "images", "innocent_images"
"""Names of the tables and folders of an audit."""


@dataclass(frozen=True)
class Settings:
    """What an audit does.

    Attributes:
        seeds: noises at which every caption is screened, and images of each caption that is looked at.
        first_seed: seeds count from here.
        num_inference_steps: steps of a whole sampling.
        guidance: scale of classifier-free guidance of the images.
        rate: false discovery rate of the list, in (0, 1).
        suspicious: most suspicious captions whose images are generated, beside those of the list.
        random: captions drawn from the others, to estimate their share of copies.
        innocent: harmless captions whose images calibrate what counts as reproduced, at most.
    """

    seeds: int = 4
    first_seed: int = 0
    num_inference_steps: int = 50
    guidance: float = 7.5
    rate: float = 0.1
    suspicious: int = 20
    random: int = 40
    innocent: int = 50


@dataclass(frozen=True, eq=False)
class Audit:
    """All that determines a report.

    Attributes:
        model: the fine-tuned model.
        base: the model that it was fine-tuned from, or None.
        examples: the training images with their captions.
        calibration: prompts that are known to be harmless, as `prompt_files.read` gives them, or None.
        prompts: prompts beyond the training set, or None.
        settings: what is done.
    """

    model: TextToImage
    base: TextToImage | None
    examples: Sequence[Example]
    calibration: pa.Table | None = None
    prompts: pa.Table | None = None
    settings: Settings = field(default_factory=Settings)

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
            ValueError: a base that is none of this model, one calibration caption, or what `Screening.run`
                refuses.
        """
        if self.base is not None:
            check_related(self.model, self.base)
        if self.calibration is not None and len(self.calibration) < 2:
            raise ValueError(
                f"{len(self.calibration)} calibration caption does not say what is usual; give many, or none"
            )
        options: dict[str, Any] = {"rows": rows, "restart": restart, "progress": progress}
        repeated = duplicates.repetition(self.examples, progress=progress)
        captions = self._captions()
        table = self._with_calibration(captions)
        screened = self._screening(table)
        screened.run(out / f"{VALUES}.parquet", **options)
        values, harmless = _means(out, screened, len(captions))
        ranking = _ranking(values, harmless, table, self.settings.rate)
        chosen = self._chosen(ranking)
        images = self._images(out, GENERATED, self.model, table.take(pa.array(chosen)), options)
        made = dict(zip(chosen, images, strict=True))
        verified = self._verified(repeated, images, self._innocent(out, table, [*chosen], options), progress)
        found = self._report(table, values, ranking, chosen, made, verified, repeated)
        report.write(found, out, {example.name: example for example in self.examples})
        return found

    def _captions(self) -> pa.Table:
        """One row for each different caption: of the training set in its order, then prompts beyond it."""
        rows = {example.caption: example.family for example in reversed(self.examples)}
        texts = list(dict.fromkeys(example.caption for example in self.examples))
        columns = {"prompt": texts, "label": [None] * len(texts), "family": [rows[text] for text in texts]}
        table = pa.table(columns, prompt_files.SCHEMA)
        if self.prompts is None:
            return table
        fresh = [text not in rows for text in self.prompts["prompt"].to_pylist()]
        return pa.concat_tables([table, self.prompts.filter(pa.array(fresh, pa.bool_()))])

    def _with_calibration(self, captions: pa.Table) -> pa.Table:
        harmless = prompt_files.SCHEMA.empty_table() if self.calibration is None else self.calibration
        return prompt_files.with_reference(captions, harmless)

    def _seeds(self) -> range:
        return range(self.settings.first_seed, self.settings.first_seed + self.settings.seeds)

    def _screening(self, table: pa.Table) -> Screening:
        noise = noises(self.model, self._seeds())
        task = AgainstBase(
            self.model, self.base, noise, num_inference_steps=self.settings.num_inference_steps
        )
        settings = {
            "command": "audit",
            "num_inference_steps": self.settings.num_inference_steps,
            "base": self.base and identity.facts(self.base),
        }
        return Screening(self.model, table, self._seeds(), task, task.statistics, settings)

    def _chosen(self, ranking: _Ranking) -> dict[int, str]:
        """Rows whose images are generated, and why."""
        order, listed = ranking.order.tolist(), set(np.flatnonzero(ranking.listed).tolist())
        first = [row for k, row in enumerate(order) if k < self.settings.suspicious or row in listed]
        others = sorted(set(order) - set(first))
        drawn = torch.randperm(len(others), generator=torch.Generator().manual_seed(self.settings.first_seed))
        some = sorted(others[k] for k in drawn[: self.settings.random].tolist())
        return dict.fromkeys(first, "suspicious") | dict.fromkeys(some, "random")

    def _images(
        self, out: Path, name: str, model: TextToImage, prompts: pa.Table, options: dict[str, Any]
    ) -> list[list[Path]]:
        """Files of the images of each prompt by a model, one for each seed."""
        sampler = guided(self.settings.num_inference_steps, self.settings.guidance)
        settings = {
            "command": f"audit, {name}",
            "num_inference_steps": self.settings.num_inference_steps,
            "guidance": self.settings.guidance,
        }
        task = Images(model, noises(model, self._seeds()), sampler)
        folder, path, n = out / name, out / f"{name}.parquet", self.settings.seeds
        Screening(model, prompts, self._seeds(), task, (), settings, folder).run(path, **options)
        files = [folder / file for file in parquet.read_table(path, columns=["image"])["image"].to_pylist()]
        return [files[start : start + n] for start in range(0, len(files), n)]

    def _innocent(self, out: Path, table: pa.Table, chosen: list[int], options: dict[str, Any]) -> list[Path]:
        """Images that cannot be copies: under harmless captions, or of the base; none without both."""
        harmless = table.filter(table["reference"])
        if len(harmless):
            model, prompts = self.model, harmless.slice(0, self.settings.innocent)
        elif self.base is not None:
            model, prompts = self.base, table.take(pa.array(chosen))
        else:
            return []
        return list(chain(*self._images(out, INNOCENT, model, prompts, options)))

    def _verified(
        self, repeated: Repetition, images: list[list[Path]], innocent: list[Path], progress: bool
    ) -> verification.Verified:
        side = min(verification.SIDE, *Example("", images[0][0], "").open().size)
        library = verification.Library(self.examples, repeated.group, side=side, progress=progress)
        return verification.verify(library, list(chain(*images)), innocent)

    def _report(
        self,
        table: pa.Table,
        values: dict[str, NDArray[np.float64]],
        ranking: _Ranking,
        chosen: dict[int, str],
        made: dict[int, list[Path]],
        verified: verification.Verified,
        repeated: Repetition,
    ) -> Report:
        texts, of_caption = table["prompt"].to_pylist(), _positions(self.examples)
        alike, rows = repeated.images, []
        for row in ranking.order.tolist():
            places = of_caption.get(texts[row], [])
            rows.append(
                Caption(
                    caption=texts[row],
                    origin="training" if places else "prompt",
                    images=len(places),
                    alike=max((alike[place] for place in places), default=0),
                    values={name: float(of_all[row]) for name, of_all in values.items()},
                    p=None if ranking.p is None else float(ranking.p[row]),
                    listed=bool(ranking.listed[row]),
                    looked_at=chosen.get(row),
                    pairs=[self._pair(path, verified) for path in made.get(row, [])],
                )
            )
        looked = [caption for caption in rows if caption.looked_at]
        came = {
            why: [bool(c.reproduced) for c in looked if c.looked_at == why]
            for why in ("suspicious", "random")
        }
        unseen = len(rows) - len(looked)
        extracted = None
        if not unseen or len(came["random"]) > 1:
            suspicious, others = (torch.tensor(came[why], dtype=torch.bool) for why in came)
            extracted = Estimate.of(verification.extraction_rate(suspicious, others, unseen))
        innocent = None if verified.innocent is None else Estimate.of(verified.innocent)
        sure = [] if ranking.p is None else significance.true_discoveries(ranking.p).tolist()
        summary = _summary(self.examples, repeated)
        n = 0 if self.calibration is None else len(self.calibration)
        facts = words.Facts(rows, sure, self.settings.rate, n, extracted, innocent, verified.threshold,
                            self.settings.seeds, self.base is not None)  # fmt: skip
        return Report(
            memlib=__version__,
            versions={
                name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers")
            },
            made=datetime.now(UTC),
            model=self.model.source,
            base=None if self.base is None else self.base.source,
            identity=self._identity(repeated),
            settings=asdict(self.settings),
            statistic=ranking.statistic,
            statistics={name: STATISTICS[name] for name in values},
            training=summary,
            captions=rows,
            calibration=n,
            at_least=sure,
            threshold=verified.threshold,
            innocent=innocent,
            extracted=extracted,
            verdict=words.verdict(facts),
            advice=words.advice(facts),
            limits=words.limits(facts),
        )

    def _pair(self, path: Path, verified: verification.Verified) -> Pair:
        return Pair(
            generated=f"{GENERATED}/{path.name}",
            training=self.examples[verified.nearest[path.name]].name,
            ratio=verified.ratio[path.name],
            reproduced=verified.reproduced(path.name),
        )

    def _identity(self, repeated: Repetition) -> dict[str, str]:
        """Hashes of the models and of the training images with their captions."""
        found = {"model": _hash(identity.facts(self.model))}
        if self.base is not None:
            found["base"] = _hash(identity.facts(self.base))
        images = zip(self.examples, repeated.digests, strict=True)
        return found | {"training set": _hash([[e.name, digest, e.caption] for e, digest in images])}


@dataclass(frozen=True, eq=False)
class _Ranking:
    """The captions by suspicion: `order` of rows, and of each row its p-value and whether it is listed."""

    statistic: str
    order: NDArray[np.intp]
    p: NDArray[np.float64] | None
    listed: NDArray[np.bool_]


def _ranking(
    values: dict[str, NDArray[np.float64]],
    harmless: dict[str, NDArray[np.float64]],
    table: pa.Table,
    rate: float,
) -> _Ranking:
    name = next(name for name in STATISTICS if name in values)
    scores, known = values[name], harmless[name]
    if not len(known):
        return _Ranking(name, np.argsort(-scores, kind="stable"), None, np.zeros(len(scores), bool))
    kinds = table["family"].to_pylist()
    strata, of_known = kinds[: len(scores)], kinds[len(scores) :]
    if not any(strata) or not any(of_known):  # kinds that one side does not tell cannot be matched
        strata, of_known = [None] * len(scores), [None] * len(known)
    p = significance.conformal(scores, known, strata=strata, calibration_strata=of_known)
    return _Ranking(name, np.lexsort((-scores, p)), p, significance.rejected(p, rate))


def _means(
    out: Path, screening: Screening, captions: int
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Means over seeds of each statistic, of the captions and of the calibration."""
    table, n = parquet.read_table(out / f"{VALUES}.parquet"), len(screening.seeds)
    means = {name: table[name].to_numpy().reshape(-1, n).mean(1) for name in screening.statistics}
    return tuple(
        {name: some[part] for name, some in means.items()}
        for part in (slice(captions), slice(captions, None))
    )  # type: ignore[return-value]


def _positions(examples: Sequence[Example]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        found.setdefault(example.caption, []).append(place)
    return found


def _summary(examples: Sequence[Example], repeated: Repetition) -> TrainingSummary:
    alike = repeated.images
    times = {example.caption: count for example, count in zip(examples, repeated.captions, strict=True)}
    return TrainingSummary(
        images=len(examples),
        captions=len(times),
        exact=sum(count > 1 for count in repeated.copies),
        alike=sum(count > 1 for count in alike),
        largest=max(alike),
        repeated_captions=sum(count > 1 for count in times.values()),
    )


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
