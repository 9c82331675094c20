"""From what a run found to the report."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from memlib import __version__
from memlib.audit import noised, significance, verification
from memlib.audit import report as records
from memlib.audit.against_base import STATISTICS
from memlib.audit.mitigations import Trial
from memlib.audit.report import Caption, Estimate, Histogram, Report

if TYPE_CHECKING:
    from memlib.audit.audit import Run

_BINS = 30
_VERSIONS = ("torch", "diffusers", "transformers")


def of_run(run: Run) -> Report:
    """The report of a run, whose parts are done in the order in which they are cheap and can refuse."""
    kept, training = run.kept, _training(run)
    values = run.means if len(run.captions) else {}
    captions, ranking, trained = _captions(run), run.ranking, training is not None
    sure = [] if ranking.p is None else significance.true_discoveries(ranking.p).tolist()
    innocent = run.judge.innocent if trained else None
    harmless = run.audit.calibration
    found = Report(
        memlib=__version__,
        versions={name: importlib.metadata.version(name) for name in _VERSIONS},
        made=datetime.now(UTC),
        model=run.audit.model.source,
        base=None if run.audit.base is None else run.audit.base.source,
        kept=None if kept is None else asdict(kept),
        identity=_identity(run),
        settings=asdict(run.settings),
        statistic=ranking.statistic,
        statistics={name: STATISTICS[name] for name in values},
        training=training,
        captions=captions,
        calibration=0 if harmless is None else len(harmless),
        of_family=ranking.calibration,
        at_least=sure,
        thresholds=dict(run.judge.thresholds) if trained else {},
        innocents=run.innocent[0] if trained else "",
        innocent=None if innocent is None else Estimate.of(innocent),
        extracted=_extracted(captions) if trained else None,
        mitigations=[_mitigation(run, trial) for trial in run.trials],
        images=_images(run),
        image_statistics=noised.STATISTICS if run.known else {},
        held_out=len(run.audit.held_out),
        histograms=[*_of_statistic(run, captions), *(_of_ratios(run, captions) if trained else ())],
    )
    return records.worded(found)


def _captions(run: Run) -> list[Caption]:
    texts, of_caption = run.table["prompt"].to_pylist(), _positions(run)
    alike = run.repeated.images if run.audit.examples else []
    p, rows = run.ranking.p, []
    for row in run.ranking.order.tolist():
        places = of_caption.get(texts[row], [])
        rows.append(
            Caption(
                caption=texts[row],
                origin="training" if places else "prompt",
                images=len(places),
                alike=max((alike[place] for place in places), default=0),
                values={name: float(of_all[row]) for name, of_all in run.means.items()},
                p=None if p is None else float(p[row]),
                listed=bool(run.ranking.listed[row]),
                looked_at=run.chosen.get(row),
                pairs=[_pair(run, path) for path in run.generated.get(row, [])],
            )
        )
    return rows


def _positions(run: Run) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, example in enumerate(run.audit.examples):
        found.setdefault(example.caption, []).append(place)
    return found


def _pair(run: Run, path: Path) -> records.Pair:
    match = run.matches[path]
    return records.Pair(
        generated=path.relative_to(run.out).as_posix(),
        training=run.audit.examples[match.nearest[match.best]].name,
        space=match.best,
        ratios=dict(match.ratio),
        reproduced=match.reproduced,
    )


def _extracted(captions: Sequence[Caption]) -> Estimate | None:
    looked = [one for one in captions if one.looked_at]
    suspicious, others = (
        torch.tensor([bool(one.reproduced) for one in looked if one.looked_at == why], dtype=torch.bool)
        for why in ("suspicious", "random")
    )
    unseen = len(captions) - len(looked)
    if not looked or (unseen and len(others) < 2):
        return None
    return Estimate.of(verification.extraction_rate(suspicious, others, unseen))


def _training(run: Run) -> records.TrainingSummary | None:
    examples = run.audit.examples
    if not examples:
        return None
    repeated = run.repeated
    members: dict[int, list[int]] = {}
    for place, group in enumerate(repeated.group.tolist()):
        members.setdefault(group, []).append(place)
    alike = sorted((some for some in members.values() if len(some) > 1), key=len, reverse=True)
    times = {example.caption: count for example, count in zip(examples, repeated.captions, strict=True)}
    return records.TrainingSummary(
        images=len(examples),
        captions=len(times),
        exact=sum(count > 1 for count in repeated.copies),
        alike=sum(map(len, alike)),
        largest=max(map(len, members.values())),
        repeated_captions=sum(count > 1 for count in times.values()),
        groups=[
            records.Group(
                images=[examples[place].name for place in some],
                exact=max(repeated.copies[place] for place in some),
                captions=len({examples[place].caption for place in some}),
            )
            for some in alike
        ],
    )


def _mitigation(run: Run, trial: Trial) -> records.Mitigation:
    matches = run.judge.matches(list(chain(*trial.before, *trial.after)))
    captions = []
    for row, before, after in zip(run.worst, trial.before, trial.after, strict=False):
        copied = [matches[path].reproduced for path in before]
        shown = copied.index(True) if any(copied) else 0
        captions.append(
            records.MitigatedCaption(
                caption=run.table["prompt"][row].as_py(),
                images=len(before),
                before=sum(copied),
                after=sum(matches[path].reproduced for path in after),
                image_before=before[shown].relative_to(run.out).as_posix(),
                image_after=after[shown].relative_to(run.out).as_posix(),
            )
        )
    told = {name: getattr(trial, name) for name in ("method", "about", "skipped", "threshold")}
    totals = {name: sum(getattr(one, name) for one in captions) for name in ("images", "before", "after")}
    return records.Mitigation(**told, **totals, captions=captions)


def _images(run: Run) -> list[records.KnownImage]:
    if run.known is None:
        return []
    columns = [[one[name].to_numpy() for one in run.known] for name in ("error", "complexity")]
    p = noised.p_values(*chain(*columns))
    listed = significance.rejected(p, run.settings.rate).tolist()
    names, rows = list(run.audit.images), run.known[0]
    shown, rough = rows.select([n for n in noised.STATISTICS if n in rows.column_names]), rows["complexity"]
    told = [
        {"image": names[k], "complexity": rough[k].as_py(), "p": float(p[k]), "listed": listed[k]}
        | {"values": {name: shown[name][k].as_py() for name in shown.column_names}}
        for k in np.lexsort((columns[0][0], p)).tolist()
    ]
    return [records.KnownImage.model_validate(one) for one in told]


def _of_statistic(run: Run, captions: Sequence[Caption]) -> list[Histogram]:
    if not captions:
        return []
    name = run.ranking.statistic
    groups: dict[str, Any] = {
        "training image came out": [one.values[name] for one in captions if one.reproduced],
        "other captions": [one.values[name] for one in captions if not one.reproduced],
        "harmless captions": run.means[name][run.table["reference"].to_numpy()],
    }
    listed = [one.values[name] for one in captions if one.listed]
    return [
        histogram(
            name,
            {key: values for key, values in groups.items() if len(values)},
            threshold=min(listed, default=None),
            marked="least value in the list" if listed else "",
        )
    ]


def _of_ratios(run: Run, captions: Sequence[Caption]) -> list[Histogram]:
    pairs = list(chain(*(one.pairs for one in captions)))
    return [
        histogram(
            f"ratio of distances in {name}",
            {
                "generated images": [pair.ratios[name] for pair in pairs],
                "images that cannot be copies": run.judge.innocent_ratios.get(name, []),
            },
            threshold=threshold,
            marked="reproduced to the left of",
        )
        for name, threshold in run.judge.thresholds.items()
    ]


def histogram(
    title: str, groups: Mapping[str, ArrayLike], *, threshold: float | None = None, marked: str = ""
) -> Histogram:
    """The histogram of groups of finite values; the threshold lies between the ends, too.

    Example:
        >>> found = histogram("lengths", {"a": [0.0, 1.0], "b": [3.0]}, threshold=2.0)
        >>> found.edges[0], found.edges[-1], sum(found.counts["a"]), found.place(1.5)
        (0.0, 3.0, 2, 0.5)
    """
    given = {name: np.asarray(values, dtype=float) for name, values in groups.items()}
    marks = [] if threshold is None else [threshold]
    every = np.concatenate([*given.values(), marks])
    edges = np.histogram_bin_edges(every if len(every) else [0.0, 1.0], bins=_BINS)
    counts = {name: np.histogram(values, edges)[0].tolist() for name, values in given.items()}
    return Histogram(title=title, edges=edges.tolist(), counts=counts, threshold=threshold, marked=marked)


def _identity(run: Run) -> dict[str, str]:
    """Hashes of the models and of the training images with their captions."""
    found = {name: _hash(facts) for name, facts in run.facts.items()}
    if run.audit.examples:
        images = zip(run.audit.examples, run.repeated.digests, strict=True)
        found["training set"] = _hash([[one.name, digest, one.caption] for one, digest in images])
    if run.audit.encoder is not None:
        found["encoder"] = _hash(run.audit.encoder.identity)
    return found


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
