"""Measure memorization in generative models through the sharpness of their probability landscape.

A companion to "Understanding Memorization in Generative Models via Sharpness in Probability Landscapes"
(arXiv 2412.04140).
"""

__version__ = "0.1.0"
