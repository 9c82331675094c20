"""What a fine-tuned model has memorized of its training images, against the model that it began from.

>>> from memlib.audit import Audit, training_set
>>> audit = Audit(model, base, training_set.read(Path("images")))  # doctest: +SKIP
>>> report = audit.run(Path("report"))  # doctest: +SKIP
>>> [caption.caption for caption in report.captions if caption.reproduced]  # doctest: +SKIP
"""

from memlib.audit.audit import Audit, Settings
from memlib.audit.report import Report
from memlib.audit.spaces import Encoder
from memlib.audit.training_set import Example, TrainingSetError

__all__ = ["Audit", "Encoder", "Example", "Report", "Settings", "TrainingSetError"]
