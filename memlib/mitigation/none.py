"""No mitigation: what all methods are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memlib.mitigation.record import Mitigated, Task, recorded


@dataclass(frozen=True)
class NoMitigation:
    """Returns prompts and noise unchanged."""

    name: ClassVar[str] = "none"

    def __call__(self, task: Task) -> Mitigated:
        """Change nothing."""
        return recorded(task)
