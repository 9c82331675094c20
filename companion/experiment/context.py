"""What the driver tells a notebook about the run it is part of, through one environment variable.

It is not a parameter: the notebook a reader opens shows the parameters that matter, and no path of the
machine that made it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

VARIABLE = "MEMLIB_RUN"


class Context(BaseModel):
    """The run that is under way.

    Attributes:
        run: its name.
        preset: where its parameters come from, overrides apart.
        output: folder it writes to.
        source: the text notebook.
        strict: whether a check that does not hold ends the run without results.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    preset: str
    output: Path
    source: Path
    strict: bool = True

    @classmethod
    def current(cls) -> Self | None:
        """The context set by the driver; None in a notebook opened by hand."""
        text = os.environ.get(VARIABLE)
        return cls.model_validate_json(text) if text else None

    def environment(self) -> dict[str, str]:
        """The environment variable that hands this context to a kernel."""
        return {VARIABLE: self.model_dump_json()}
