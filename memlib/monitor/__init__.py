"""A watch on a training: does the network treat its training images unlike others, and since when?

Every few steps a handful of products with the Jacobian of the score at fixed training and held-out points,
a table, a curve, and a warning whose rate of false alarms over the whole training is bounded.
"""

from memlib.monitor.hooks import TrainerHook, unet_score
from memlib.monitor.points import mirrored
from memlib.monitor.sequential import SequentialTest
from memlib.monitor.watch import Check, Monitor

__all__ = ["Check", "Monitor", "SequentialTest", "TrainerHook", "mirrored", "unet_score"]
