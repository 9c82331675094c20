"""Matrix-free numerics for the Jacobian of a score: products in, spectra, traces and densities out. No model in sight."""

from memlib.hessian.dense import DenseSpectrum, dense
from memlib.hessian.operator import Asymmetry, DenseOperator, JacobianOperator, LinearOperator, Product

__all__ = [
    "Asymmetry",
    "DenseOperator",
    "DenseSpectrum",
    "JacobianOperator",
    "LinearOperator",
    "Product",
    "dense",
]
