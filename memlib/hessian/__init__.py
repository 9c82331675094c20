"""Matrix-free numerics for the Jacobian of a score: products in, spectra, traces and densities out."""

from memlib.hessian.dense import DenseSpectrum, dense
from memlib.hessian.graph import Product
from memlib.hessian.jacobian import Asymmetry, JacobianOperator
from memlib.hessian.operator import DenseOperator, LinearOperator

__all__ = [
    "Asymmetry",
    "DenseOperator",
    "DenseSpectrum",
    "JacobianOperator",
    "LinearOperator",
    "Product",
    "dense",
]
