"""Log densities of vectors and images, in nats."""

import math

import keras
from keras import ops

from tfattn._typing import Tensor

# The logit of a value that cannot occur: the softmax makes it 0, gradients stay finite.
IMPOSSIBLE = -1e9


def standard_normal_log_density(z: Tensor) -> Tensor:
    """log N(z; 0, I), summed over the last axis.

    Args:
        z: Tensor (..., d).

    Returns:
        Tensor (...).
    """
    return -0.5 * ops.sum(ops.square(z) + math.log(2 * math.pi), axis=-1)


def gaussian_log_density(noise: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; mean, σ²) at z = mean + σ·noise, summed over the last axis.

    Args:
        noise: Tensor (..., d).
        log_variance: log σ², broadcast against `noise`.

    Returns:
        Tensor (...).
    """
    return standard_normal_log_density(noise) - 0.5 * ops.sum(log_variance, axis=-1)


def gaussian_sample(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """mean + σ·noise: a sample of N(mean, σ²), from standard normal noise."""
    return mean + ops.exp(0.5 * log_variance) * noise


def categorical_log_density(values: Tensor, logits: Tensor) -> Tensor:
    """Sum over a sequence of the log-probabilities of its values.

    Args:
        values: Integers (n, length).
        logits: Tensor (n, length, number of values).

    Returns:
        Tensor (n,).
    """
    return -ops.sum(
        keras.losses.sparse_categorical_crossentropy(values, logits, from_logits=True),
        axis=1,
    )


def bounded_features(features: Tensor) -> Tensor:
    """Features kept where the gradients of several networks in a row do not overflow.

    No trained model comes near. One that a large learning rate throws off gets a large
    loss, and not NaN.
    """
    return ops.clip(features, -1e4, 1e4)


def bounded_log_variance(log_variance: Tensor) -> Tensor:
    """A log-variance kept between −15 and 15, for the reason of `bounded_features`."""
    return ops.clip(log_variance, -15.0, 15.0)


def bernoulli_log_density(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x) of independent binary pixels, summed over the last three axes.

    Args:
        x: Binary images (..., h, w, c).
        logits: log p(1)/p(0) of each pixel, broadcast against `x`.

    Returns:
        Tensor (...).
    """
    return ops.sum(x * logits - ops.softplus(logits), axis=(-3, -2, -1))


def discretized_logistic_log_density(
    x: Tensor, mean: Tensor, log_scale: Tensor, levels: int = 256
) -> Tensor:
    """log of the probability that a logistic variable rounds to x.

    With half a step δ = 1 / (2·(levels − 1)) and F the distribution function of the
    logistic distribution, P(x) = F(x + δ) − F(x − δ), where the lowest level 0 takes
    all below it and the highest level 1 all above it: over all levels P sums to 1.

    Source: Kingma et al., *Improved Variational Inference with Inverse Autoregressive
    Flow*, arXiv:1606.04934, appendix C; Salimans et al., *PixelCNN++*,
    arXiv:1701.05517, equation 2.

    Args:
        x: Tensor of values in [0, 1], multiples of 1 / (levels − 1).
        mean: Mean of the logistic distribution, broadcast against `x`.
        log_scale: log of its scale, broadcast against `x`.
        levels: Number of levels of a pixel.

    Returns:
        Tensor of the broadcast shape, in nats.
    """
    inverse_scale = ops.exp(-log_scale)
    half = 0.5 / (levels - 1)
    above = ops.log_sigmoid((x + half - mean) * inverse_scale)
    below = ops.log_sigmoid(-(x - half - mean) * inverse_scale)
    # F(p) − F(q) = F(p)·F(−q)·(1 − exp(q − p)): no difference of near numbers.
    between = ops.log(-ops.expm1(-2 * half * inverse_scale))
    return ops.where(
        x < half, above, ops.where(x > 1 - half, below, above + below + between)
    )


def discretized_logistic_mixture_log_density(
    x: Tensor,
    weight_logits: Tensor,
    means: Tensor,
    log_scales: Tensor,
    levels: int = 256,
) -> Tensor:
    """log of the probability of a pixel under a mixture of k logistic distributions.

    The channels of a component are independent, those of the mixture are not: a
    component is a color. With one component this is the sum over the channels of
    `discretized_logistic_log_density`.

    Source: Salimans et al., *PixelCNN++*, arXiv:1701.05517, section 2.1, without the
    regression of a channel on those before it.

    Args:
        x: Tensor (..., c) of values in [0, 1], multiples of 1 / (levels − 1).
        weight_logits: Tensor (..., k): logits of the components' weights.
        means: Tensor (..., k, c).
        log_scales: Tensor (..., k, c).
        levels: Number of levels of a channel.

    Returns:
        Tensor (...), in nats.
    """
    of_channels = discretized_logistic_log_density(
        x[..., None, :], means, log_scales, levels
    )
    of_components = ops.sum(of_channels, axis=-1)
    weights = ops.log_softmax(weight_logits, axis=-1)
    return ops.logsumexp(weights + of_components, axis=-1)
