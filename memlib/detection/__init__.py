"""Detection of memorized prompts: statistics from papers, one a file, and how well they separate.

`measure` samples and applies any number of statistics; `evaluate` and `compare` judge what they give.
"""

from memlib.detection.asthana import Anisotropy
from memlib.detection.calibration import Threshold, calibrate
from memlib.detection.carlini import TiledDistance
from memlib.detection.chen import BrightEnding
from memlib.detection.evaluation import Comparison, Evaluation, compare, evaluate
from memlib.detection.gap import HessianScoreGap
from memlib.detection.huang import UpdateNorms
from memlib.detection.jeon import SharpnessGain
from memlib.detection.kim import Curvature, CurvatureDifference, LateScoreDifference
from memlib.detection.ren import AttentionEntropy, LayerEntropy
from memlib.detection.statistic import Statistic, measure
from memlib.detection.wen import ScoreDifferenceNorm

__all__ = [
    "Anisotropy",
    "AttentionEntropy",
    "BrightEnding",
    "Comparison",
    "Curvature",
    "CurvatureDifference",
    "Evaluation",
    "HessianScoreGap",
    "LateScoreDifference",
    "LayerEntropy",
    "ScoreDifferenceNorm",
    "SharpnessGain",
    "Statistic",
    "Threshold",
    "TiledDistance",
    "UpdateNorms",
    "calibrate",
    "compare",
    "evaluate",
    "measure",
]
