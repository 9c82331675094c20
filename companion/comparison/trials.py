"""Runs methods one after the other on the same captions and noises."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from companion.comparison.baselines import RandomMove, Redrawn
from companion.comparison.judge import Judge, Judged
from companion.comparison.real import RealJudge
from memlib.mitigation import Method, Mitigated, NoMitigation, apply, quietly
from memlib.text_to_image import Prompts, TextToImage


@dataclass(frozen=True, eq=False)
class Trials:
    """The captions and noises that every method is given.

    Attributes:
        model: the text-to-image model.
        judge: judges the images.
        prompts: the judge's captions, encoded.
        noise: n noises that they share, or n of each caption: with its own, a caption is an independent draw.
        steps: the number of sampling steps.
        guidance: scale of classifier-free guidance.
        seed: the seed of what a method draws, the same for all.
        rows: captions times noises that a method works on at a time; bounds the memory.
    """

    model: TextToImage
    judge: Judge | RealJudge
    prompts: Prompts
    noise: Float[Tensor, "n ..."] | Float[Tensor, "P n ..."]
    steps: int = 50
    guidance: float = 7.5
    seed: int = 0
    rows: int = 64

    def one(self, method: Method, model: TextToImage | None = None) -> Judged:
        """Apply a method, sample, judge; `model` in place of that of these trials, of the same captions.

        A threshold out of reach and a caption that lost its end are in the table and raise no warning. The
        column "seconds" is the time that the method took for an image, without sampling it.
        """
        return self._judged(*self._applied(method, model))

    def all(self, methods: Mapping[str, Mapping[str, Method]]) -> dict[tuple[str, str], Judged]:
        """Every setting of every method, with a progress bar."""
        each = [(name, setting) for name, settings in methods.items() for setting in settings]
        return {
            (name, setting): self.one(methods[name][setting]) for name, setting in tqdm(each, desc="methods")
        }

    def with_baselines(self, methods: Mapping[str, Mapping[str, Method]]) -> dict[tuple[str, str], Judged]:
        """Every setting of every method, and what each has to beat, with a progress bar.

        Returns:
            By method and setting, as in `all`; "none" and "redrawn", one fresh noise, with the setting "";
            and for each setting of a method named m, as the setting "m SETTING": "redrawn" at its price, if
            that buys more than one noise, and "random move" of its length, if it moves noises.
        """
        found = {("none", ""): self.one(NoMitigation()), ("redrawn", ""): self.one(Redrawn())}
        each = [(name, setting) for name, settings in methods.items() for setting in settings]
        for name, setting in tqdm(each, desc="methods"):
            mitigated, seconds = self._applied(methods[name][setting])
            found[name, setting] = self._judged(mitigated, seconds)
            redrawn, label = Redrawn.at_the_price_of(mitigated.record), f"{name} {setting}".strip()
            if redrawn.candidates > 1:
                found["redrawn", label] = self.one(redrawn)
            if not torch.equal(mitigated.noise, self.noise.expand_as(mitigated.noise)):
                found["random move", label] = self.one(RandomMove.like(mitigated))
        return found

    def _applied(self, method: Method, model: TextToImage | None = None) -> tuple[Mitigated, float]:
        """What a method returns, and the seconds that it took."""
        generator = torch.Generator().manual_seed(self.seed)
        prompts = self.prompts if model is None else model.encode(self.prompts.captions)
        began = time.perf_counter()
        with quietly():
            mitigated = apply(
                model or self.model,
                method,
                prompts,
                self.noise,
                steps=self.steps,
                generator=generator,
                rows=self.rows,
            )
        return mitigated, time.perf_counter() - began

    def _judged(self, mitigated: Mitigated, seconds: float) -> Judged:
        judged = self.judge(mitigated, guidance=self.guidance)
        judged.table["seconds"] = seconds / len(judged.table)
        return judged


def joined(trials: Mapping[tuple[str, str], Judged]) -> pd.DataFrame:
    """One table of all trials, with the columns "method" and "setting" first."""
    return pd.concat(
        [judged.table.assign(method=name, setting=setting) for (name, setting), judged in trials.items()],
        ignore_index=True,
    )[["method", "setting", *next(iter(trials.values())).table.columns]]
