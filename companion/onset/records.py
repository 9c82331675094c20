"""The statistics of every rung of a run, in one file that is written whole after each of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from companion import provenance
from companion.onset.statistics import SETTINGS, Settings, measure
from memlib.files import write_text
from memlib.networks import DiffusionModel

FILE = "rungs.json"


def record(
    folder: Path,
    load: Callable[[int], DiffusionModel],
    steps: Sequence[int],
    training: Float[Tensor, "N C W W"],
    held_out: Float[Tensor, "M C W W"],
    *,
    settings: Settings = SETTINGS,
    spectra: bool = False,
) -> None:
    """Measure every rung that `folder / FILE` does not hold yet; call again after a kill to go on.

    Args:
        folder: of the run.
        load: the network after so many steps.
        steps: of the rungs.
        training: images of the run.
        held_out: images that it has not seen.
        settings: how finely.
        spectra: record whole spectra, too.

    Raises:
        ValueError: the file was measured with other settings.
    """
    file, stated = folder / FILE, json.loads(json.dumps(asdict(settings)))
    found = _read(file) if file.is_file() else {"settings": stated, "rungs": []}
    if found["settings"] != stated:
        raise ValueError(
            f"{file} was measured with {found['settings']}, not {stated}; delete it to start anew"
        )
    done = {rung["step"] for rung in found["rungs"]}
    for step in sorted(set(steps) - done):
        clock = time.process_time()
        statistics = measure(load(step), training, held_out, settings, spectrum=spectra)
        source = {
            "commit": provenance.commit(),
            "versions": provenance.versions(),
            "threads": torch.get_num_threads(),
            "processor seconds": round(time.process_time() - clock, 1),
        }
        found["rungs"].append({"step": step, "measured": source} | statistics)
        found["rungs"].sort(key=lambda rung: rung["step"])
        write_text(file, json.dumps(found) + "\n")


def read(folder: Path) -> dict[int, Mapping[str, Any]]:
    """Steps -> what was measured there, ascending, of a run that `record` has measured.

    Raises:
        FileNotFoundError: nothing was measured in `folder`.
    """
    return {rung["step"]: rung for rung in _read(folder / FILE)["rungs"]}


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
