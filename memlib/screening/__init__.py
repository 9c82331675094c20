"""Prompts of one's own on a model of one's own: scores and images for every prompt and seed, in one table.

`prompt_files.read` reads prompts, a `Screening` runs them through a task and resumes after any interruption,
`ranking.load` reads its table back. Needs `pip install -e '.[screen]'` in the clone.
"""

from memlib.screening.mitigated import MitigatedImages
from memlib.screening.partial_table import OutputError
from memlib.screening.prompt_files import PromptFileError
from memlib.screening.screen import RunSummary, Screening
from memlib.screening.tasks import (
    STATISTICS,
    Images,
    Sampler,
    Task,
    TaskResult,
    detection_task,
    guided,
    noises,
)

__all__ = [
    "STATISTICS",
    "Images",
    "MitigatedImages",
    "OutputError",
    "PromptFileError",
    "RunSummary",
    "Sampler",
    "Screening",
    "Task",
    "TaskResult",
    "detection_task",
    "guided",
    "noises",
]
