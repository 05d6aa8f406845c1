"""What a model does to signals and gradients, measured: layer by layer, its Jacobian, its Hessian."""

from fracrepro.nn.diagnosis.curvature import hessian_norms
from fracrepro.nn.diagnosis.frame import diagnose
from fracrepro.nn.diagnosis.jacobian import jacobian_singular_values
from fracrepro.nn.diagnosis.plot import plot_diagnosis

__all__ = ["diagnose", "hessian_norms", "jacobian_singular_values", "plot_diagnosis"]
