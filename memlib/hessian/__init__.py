"""Matrix-free numerics for the Jacobian of a score: products in, spectra, traces and densities out.

Build a `JacobianOperator` from a score and points (or a `FunctionOperator` from any function), then ask:
`dense` for everything, `lanczos` and `arnoldi` for one end of the spectrum, `count_above` for a number of
eigenvalues, `trace`, `diagonal` and `density` for estimates with error bars. Operators add, scale, shift and
multiply with Python's signs: `sigma**2 * H + 1`.
"""

from memlib.hessian.arguments import NonFiniteProductError
from memlib.hessian.arnoldi import arnoldi
from memlib.hessian.counting import count_above
from memlib.hessian.dense import DenseSpectrum, dense
from memlib.hessian.density import SpectralDensity, density
from memlib.hessian.diagonal import diagonal
from memlib.hessian.graph import Product
from memlib.hessian.jacobian import Asymmetry, JacobianOperator
from memlib.hessian.lanczos import lanczos
from memlib.hessian.operator import DenseOperator, FunctionOperator, LinearOperator
from memlib.hessian.results import CountInterval, EigenResult, Estimate, at_or_above
from memlib.hessian.spectra import Spectra, spectra
from memlib.hessian.trace import trace, trace_power

__all__ = [
    "Asymmetry",
    "CountInterval",
    "DenseOperator",
    "DenseSpectrum",
    "EigenResult",
    "Estimate",
    "FunctionOperator",
    "JacobianOperator",
    "LinearOperator",
    "NonFiniteProductError",
    "Product",
    "Spectra",
    "SpectralDensity",
    "arnoldi",
    "at_or_above",
    "count_above",
    "dense",
    "density",
    "diagonal",
    "lanczos",
    "spectra",
    "trace",
    "trace_power",
]
