"""Random words or numbers put into the caption (Somepalli et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

import torch

from memlib.mitigation.record import Mitigated, Task, recorded

Kind = Literal["token", "number"]
NUMBERS = 100_000


@dataclass(frozen=True)
class RandomAddition:
    """Insert tokens of the tokenizer's vocabulary, or numbers below 100,000, at random places.

    Somepalli et al. (2023). One caption for all noises of a prompt. A caption that grows beyond the
    tokenizer's limit loses its end, which `Prompts.removed` of the result names.
    """

    kind: Annotated[Kind, '"token" (RTA) or "number" (RNA)'] = "token"
    count: Annotated[int, "number of additions; 1, 2, 4, 6 and 8 in the paper's comparison"] = 4
    needs: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or self.count < 1:
            raise ValueError(
                f"kind must be one of {list(get_args(Kind))} and count at least 1, got {self.kind!r} and "
                f"{self.count}"
            )

    @property
    def name(self) -> str:
        """For tables and messages."""
        return f"random {self.kind} addition"

    def __call__(self, task: Task) -> Mitigated:
        """Encode the changed captions; no pass of the U-Net is spent."""
        tokenizer = task.model.tokenizer
        captions = [
            self._changed(caption, tokenizer, generator)
            for caption, generator in zip(task.prompts.captions, task.generators, strict=True)
        ]
        return recorded(task, prompts=task.model.encode(captions))

    def _changed(self, caption: str, tokenizer: Any, generator: torch.Generator) -> str:
        def below(bound: int) -> int:
            return int(torch.randint(bound, (), generator=generator))

        ordinary = sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids))
        words = caption.split()
        for _ in range(self.count):
            number = self.kind == "number"
            word = str(below(NUMBERS)) if number else tokenizer.decode([ordinary[below(len(ordinary))]])
            words.insert(below(len(words) + 1), word.strip())
        return " ".join(words)
