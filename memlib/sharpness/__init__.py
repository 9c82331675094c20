"""Statistics of a point's sharpness, one definition each, for batches of points.

H is the Hessian of the log density (the Jacobian of the score), d the dimension of a sample, sigma the noise
scale. Where a statistic multiplies a Jacobian with a vector it takes the product ("jvp", "vjp", "symmetric",
"difference") as an argument, because a learned Jacobian is not symmetric and the products differ.
"""

from memlib.sharpness.dimension import estimated_dimension, flipd, local_dimension
from memlib.sharpness.norms import curvature_gain, difference_norm, hessian_score_norm, score_norm
from memlib.sharpness.shifted import shifted_trace
from memlib.sharpness.spectrum import nonnegative_count, scaled, trace
from memlib.sharpness.summaries import Summary, summary

__all__ = [
    "Summary",
    "curvature_gain",
    "difference_norm",
    "estimated_dimension",
    "flipd",
    "hessian_score_norm",
    "local_dimension",
    "nonnegative_count",
    "scaled",
    "score_norm",
    "shifted_trace",
    "summary",
    "trace",
]
