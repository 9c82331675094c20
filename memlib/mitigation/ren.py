"""Attention re-scaling with the summary tokens masked (Ren et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from memlib.mitigation.attention import RescaledAttention
from memlib.mitigation.record import Mitigated, Task, recorded


@dataclass(frozen=True)
class AttentionRescaling:
    """Multiply the logit of the begin token and hide the tokens after the prompt, in all conditional passes.

    Ren et al. (2024): a memorized prompt draws attention to its trigger and to the padding, its summary.
    """

    factor: Annotated[
        float, "factor of the begin token's logit; 1.1, 1.2, 1.25, 1.3 and 1.5 in the paper's comparison"
    ] = 1.25
    hide: Annotated[bool, "whether the padding after the end token gets no weight"] = True
    hide_end: Annotated[bool, "whether the end token gets none either"] = False
    name: ClassVar[str] = "attention re-scaling"
    needs: ClassVar[str] = "attention"

    def __post_init__(self) -> None:
        if not self.factor > 0:
            raise ValueError(f"factor must be positive, got {self.factor}")

    def __call__(self, task: Task) -> Mitigated:
        """Ask for the change while sampling; no pass is spent here."""
        return recorded(task, attention=RescaledAttention(self.factor, self.hide, self.hide_end))
