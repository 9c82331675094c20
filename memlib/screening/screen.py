"""All prompts through a task, into a table with a row for each prompt and seed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from tqdm import tqdm

from memlib import __version__
from memlib.screening import batches, identity, images, prompt_files
from memlib.screening.partial_table import PartialTable
from memlib.screening.tasks import Task, TaskResult
from memlib.text_to_image import Prompts, TextToImage, TruncationWarning

_NONE = pa.schema([])


@dataclass(frozen=True)
class RunSummary:
    """Path, size and time of a finished screening.

    Attributes:
        path: the path of the table.
        prompts: number of prompts in it.
        resumed: how many of them were there from an earlier call.
        seconds: that this call took.
        rows: prompts times seeds at a time at its end; 0 if nothing was left to do.
    """

    path: Path
    prompts: int
    resumed: int
    seconds: float
    rows: int


@dataclass(frozen=True, eq=False)
class Screening:
    """Everything that determines a table.

    Attributes:
        model: the text-to-image model.
        prompts: as `prompt_files.read` gives them, with more columns if wanted; all are kept.
        seeds: the seeds of the starting noise.
        task: what is computed, at these seeds.
        statistics: names of the values that the task gives; none for images alone.
        settings: what else the task depends on, as JSON: a resumed call must have the same.
        pictures: folder for images, or None for none.
        images: columns for the names of images, one for each kind that the task samples.
        columns: others that the task gives.
        gradients: whether the task keeps what gradients need, which takes many times the memory.
        facts: `identity.facts` of the model where they were read before; None reads its weights.
    """

    model: TextToImage
    prompts: pa.Table
    seeds: Sequence[int]
    task: Task
    statistics: Sequence[str]
    settings: Mapping[str, Any]
    pictures: Path | None = None
    images: Sequence[str] = ("image",)
    columns: pa.Schema = _NONE
    gradients: bool = False
    facts: Mapping[str, Any] | None = None

    @property
    def schema(self) -> pa.Schema:
        """One row for each prompt and seed.

        The columns are, in this order:

        - `number` of the prompt in its file, from 0; all columns of `prompts`; `seed` of the noise;
        - `truncated`: what the tokenizer's limit cut from the end of the prompt, null for nothing;
        - a column for each statistic, float64; all of `columns`; names of files, if images are kept.
        """
        fields = [pa.field("number", pa.int64()), *self.prompts.schema]
        fields += [pa.field("seed", pa.int64()), pa.field("truncated", pa.string())]
        fields += [pa.field(name, pa.float64()) for name in self.statistics]
        fields += [*self.columns]
        kinds = () if self.pictures is None else self.images
        return pa.schema(fields + [pa.field(name, pa.string()) for name in kinds])

    def identity(self) -> dict[str, Any]:
        """All that the table depends on, but for the number of prompts at a time.

        That one moves the rounding of every value, and the sign vectors of "kim", which are drawn for all
        prompts that go together; it is kept with the pieces.
        """
        return {
            **self.settings,
            "statistics": list(self.statistics),
            "seeds": list(self.seeds),
            "images": self.pictures is not None,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "model": self.facts or identity.facts(self.model),
            "times": self.model.timesteps(self.settings.get("num_inference_steps", 50)),
            "prompts": prompt_files.digest(self.prompts),
            "memlib": __version__,
        }

    def run(
        self, out: Path, *, rows: int | None = None, restart: bool = False, progress: bool = False
    ) -> RunSummary:
        """Compute what is missing of the table and write it.

        Whatever stops it, the prompts that were finished stay and the next call goes on after them; the file
        is then the same as that of an uninterrupted call.

        Args:
            out: the file, parquet. Unfinished pieces lie beside it, in a folder of its name and `.parts`.
            rows: prompts times seeds at a time, at least one prompt; None begins with a guess from the free
                memory. Halved whenever the memory does not suffice.
            restart: discard an earlier result or its pieces.
            progress: show a progress bar.

        Raises:
            OutputError: the file cannot be written, or is something else.
            ValueError: the task cannot be done with this model, or not in this memory.
            KeyboardInterrupt: somebody stopped it; its text says what is kept.
        """
        began, total, each = time.perf_counter(), len(self.prompts), len(self.seeds)
        with PartialTable(out, self.identity(), total, each).open(restart=restart) as table:
            resumed = table.done
            if table.finished:
                return RunSummary(out, total, total, time.perf_counter() - began, 0)
            chosen = rows or table.noted("rows") or batches.starting_rows(self.model, self.gradients)
            table.note("rows", chosen)
            bar = tqdm(total=total, initial=table.done, desc="prompts", disable=not progress)

            def work(start: int, stop: int) -> None:
                with table.writing():  # images
                    found = self._rows(start, stop)
                table.append(start, stop, found)
                bar.update(stop - start)

            def changed(together: int) -> None:
                nonlocal chosen
                chosen = together * each
                table.note("rows", chosen)

            try:
                with bar:
                    batches.halving(work, table.done, total, max(1, chosen // each), changed)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"{table.done} of {total} prompts are finished and kept; call again to go on there"
                ) from None
            table.join(self.schema)
        return RunSummary(out, total, resumed, time.perf_counter() - began, chosen)

    def _rows(self, start: int, stop: int) -> pa.Table:
        some = self.prompts.slice(start, stop - start)
        given = encoded(self.model, some["prompt"].to_pylist())
        found = self.task(given)
        self._check(given, found)
        n = len(self.seeds)
        repeated = [row for row in range(stop - start) for _ in range(n)]
        columns: dict[str, Any] = {"number": [start + row for row in repeated]}
        columns |= {name: some[name].take(pa.array(repeated)) for name in some.column_names}
        columns["seed"] = [*self.seeds] * (stop - start)
        columns["truncated"] = [given.removed.get(row) for row in repeated]
        columns |= {name: found.values[name].flatten().numpy() for name in self.statistics}
        columns |= found.columns
        if self.pictures is not None:
            columns |= {name: self._save(name, self.pictures, start, given, found) for name in self.images}
        return pa.table(columns, self.schema)

    def _check(self, given: Prompts, found: TaskResult) -> None:
        """Raise `FloatingPointError` for a value or a sample that is not finite, with prompt and remedy."""
        for name, values in {**found.values, **found.samples}.items():
            if not (good := torch.isfinite(values.flatten(1)).all(1)).all():
                first = given.captions[int((~good).nonzero()[0])]
                raise FloatingPointError(
                    f"{name} of {first[:80]!r} is NaN or infinite: the {type(self.model.denoiser).__name__} "
                    f"overflows in {self.model.dtype}; use float32 or bfloat16 (--dtype float32)"
                )

    def _save(self, kind: str, folder: Path, start: int, given: Prompts, found: TaskResult) -> list[str]:
        if kind not in found.samples:
            raise ValueError(
                f"{kind} is wanted of a task that gives {', '.join(found.samples) or 'no samples'}"
            )
        names = []
        for row, latents in enumerate(found.samples[kind]):
            try:
                decoded = self.model.decode(latents)
            except FloatingPointError as error:
                raise FloatingPointError(f"image of {given.captions[row][:80]!r}: {error}") from error
            for seed, image in zip(self.seeds, decoded, strict=True):
                names.append(images.file_name(start + row, given.captions[row], seed, kind))
                images.save(image, folder / names[-1])
        return names


def encoded(model: TextToImage, texts: list[str]) -> Prompts:
    """Encoded prompts; what was cut goes to the table and not to a warning for each batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        return model.encode(texts)
