"""Prompts of one's own on a model of one's own: scores and images for every prompt and seed, in one table.

`prompt_files.read` reads prompts, a `Screening` runs them through a task and resumes after any interruption,
`ranking.load` reads its table back. Needs `pip install 'memlib[screen]'`.
"""

from memlib.screening.mitigated import MitigatedImages
from memlib.screening.parts import OutputError
from memlib.screening.prompt_files import PromptFileError
from memlib.screening.screen import Outcome, Screening
from memlib.screening.statistics import STATISTICS
from memlib.screening.tasks import Found, Images, Sampler, Task, detection_task, guided, noises

__all__ = [
    "STATISTICS",
    "Found",
    "Images",
    "MitigatedImages",
    "Outcome",
    "OutputError",
    "PromptFileError",
    "Sampler",
    "Screening",
    "Task",
    "detection_task",
    "guided",
    "noises",
]
