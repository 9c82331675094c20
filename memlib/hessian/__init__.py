"""Matrix-free numerics for the Jacobian of a score: products in, spectra, traces and densities out.

Build a `JacobianOperator` from a score and points, then ask: `dense` for everything, `lanczos` and `arnoldi`
for one end of the spectrum, `count_above` for a number of eigenvalues, `trace`, `diagonal` and `density` for
estimates with error bars.
"""

from memlib.hessian.algebra import AffineOperator, PowerOperator
from memlib.hessian.arguments import NonFiniteProductError
from memlib.hessian.arnoldi import arnoldi
from memlib.hessian.counting import count_above
from memlib.hessian.dense import DenseSpectrum, dense
from memlib.hessian.density import SpectralDensity, density
from memlib.hessian.diagonal import diagonal
from memlib.hessian.dimension import filtered_dimension, flipd, local_dimension
from memlib.hessian.graph import Product
from memlib.hessian.jacobian import Asymmetry, JacobianOperator
from memlib.hessian.lanczos import lanczos
from memlib.hessian.operator import DenseOperator, LinearOperator
from memlib.hessian.results import CountInterval, EigenResult, Estimate
from memlib.hessian.spectra import Spectra, spectra
from memlib.hessian.trace import trace, trace_power

__all__ = [
    "AffineOperator",
    "Asymmetry",
    "CountInterval",
    "DenseOperator",
    "DenseSpectrum",
    "EigenResult",
    "Estimate",
    "JacobianOperator",
    "LinearOperator",
    "NonFiniteProductError",
    "PowerOperator",
    "Product",
    "Spectra",
    "SpectralDensity",
    "arnoldi",
    "count_above",
    "dense",
    "density",
    "diagonal",
    "filtered_dimension",
    "flipd",
    "lanczos",
    "local_dimension",
    "spectra",
    "trace",
    "trace_power",
]
