"""A flow that is known in closed form: data x₁ ~ N(μ, Σ) of D dimensions.

With C = (1 − t)² I + t² Σ, the mean velocity through x at t is
u(x, t) = μ + [tΣ − (1 − t) I] C⁻¹ (x − tμ): the flow carries N(0, I) to N(μ, Σ), and
log p of the data is that of a Gaussian.
"""

import numpy as np
from keras import ops
from scipy import stats

D = 4
rng = np.random.default_rng(0)
MEAN = rng.normal(size=D)
HALF = rng.normal(size=(D, D))
COVARIANCE = HALF @ HALF.T / D + 0.3 * np.eye(D)
GAUSSIAN = stats.multivariate_normal(MEAN, COVARIANCE)


def velocity(x, t):
    """u(x, t) for x (n, D) and t a scalar or (n,)."""
    values, vectors = np.linalg.eigh(COVARIANCE)
    values, vectors, mean = (
        ops.cast(ops.convert_to_tensor(v), x.dtype) for v in (values, vectors, MEAN)
    )
    t = ops.reshape(ops.cast(t, x.dtype), (-1, 1))
    gain = (t * values - (1 - t)) / ((1 - t) ** 2 + t**2 * values)
    along = ops.matmul(x - t * mean, vectors)
    return mean + ops.matmul(gain * along, ops.transpose(vectors))
