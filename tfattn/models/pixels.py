"""The distribution of each pixel: black or white, or one of several levels."""

from abc import ABC, abstractmethod

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import checked_binary_images, checked_images
from tfattn._typing import Tensor
from tfattn.densities import (
    bernoulli_log_density,
    discretized_logistic_mixture_log_density,
)
from tfattn.models.base import binary_draw

# Of a level's mixture: enough for a pixel that may belong to either side of an edge.
NUM_COMPONENTS = 3
# At the least a component keeps to its level: 99 % of 256. At the most black and white,
# with all beyond them, have a probability of about one half.
LEAST_LOG_SCALE = -8.0
MOST_LOG_SCALE = 5.0
LOG_SCALE_AT_START = -2.0
LOG_SCALE_GAIN = 3.0
MEAN_AT_START = 0.5
MEAN_GAIN = 0.3


class PixelDistribution(ABC):
    """A distribution of independent pixels, by parameters that a decoder gives.

    Attributes:
        num_parameters: Parameters of each pixel.
    """

    num_parameters: int

    @abstractmethod
    def drawn(self, x: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Images in [0, 1] as images of the distribution, float32, for training."""

    @abstractmethod
    def checked(self, x: ArrayLike, image_shape: tuple[int, ...]) -> np.ndarray:
        """Images of the distribution, for measuring; ValueError for any others."""

    @abstractmethod
    def log_density(self, x: Tensor, parameters: Tensor) -> Tensor:
        """log p(x) (...), of images (..., h, w, c) and (..., h, w, num_parameters)."""

    @abstractmethod
    def expected(self, parameters: Tensor) -> Tensor:
        """The mean of each pixel, in [0, 1]: (..., h, w, c)."""


class BinaryPixels(PixelDistribution):
    """Black or white; the parameters are log p(white)/p(black) of each channel."""

    def __init__(self, channels: int) -> None:
        self.num_parameters = channels

    def drawn(self, x: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """White with the probability that the level says: dynamic binarization."""
        return binary_draw(x, seed)

    def checked(self, x: ArrayLike, image_shape: tuple[int, ...]) -> np.ndarray:
        return checked_binary_images(x, image_shape)

    def log_density(self, x: Tensor, parameters: Tensor) -> Tensor:
        return bernoulli_log_density(x, parameters)

    def expected(self, parameters: Tensor) -> Tensor:
        return ops.sigmoid(parameters)


class LevelPixels(PixelDistribution):
    """Levels from black to white: a mixture of discretized logistic distributions.

    A component is a color: its mean and scale in each channel. The parameters of a
    pixel are, for each component, the logit of its weight, then its means and
    log-scales, both about 0 and of about unit size, as a network gives them at first.
    """

    def __init__(self, channels: int, levels: int) -> None:
        self.channels = channels
        self.levels = levels
        self.num_parameters = NUM_COMPONENTS * (1 + 2 * channels)

    def drawn(self, x: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Rounded to levels; nothing is drawn."""
        steps = self.levels - 1
        return ops.round(steps * ops.cast(x, "float32")) / steps

    def checked(self, x: ArrayLike, image_shape: tuple[int, ...]) -> np.ndarray:
        steps = self.levels - 1
        return np.rint(steps * checked_images(x, image_shape)) / np.float32(steps)

    def log_density(self, x: Tensor, parameters: Tensor) -> Tensor:
        log_density = discretized_logistic_mixture_log_density(
            x, *self._components(parameters), levels=self.levels
        )
        return ops.sum(log_density, axis=(-2, -1))

    def expected(self, parameters: Tensor) -> Tensor:
        weights, means, _ = self._components(parameters)
        means = ops.sum(ops.softmax(weights)[..., None] * means, axis=-2)
        return ops.clip(means, 0.0, 1.0)

    def _components(self, parameters):
        """Logits of the weights (..., k), means and log-scales (..., k, c)."""
        split = NUM_COMPONENTS * self.channels
        weights, means, log_scales = ops.split(
            parameters, [NUM_COMPONENTS, NUM_COMPONENTS + split], axis=-1
        )
        shape = (*ops.shape(parameters)[:-1], NUM_COMPONENTS, self.channels)
        means = MEAN_AT_START + MEAN_GAIN * means
        span = LOG_SCALE_AT_START - LEAST_LOG_SCALE
        log_scales = LEAST_LOG_SCALE + ops.softplus(LOG_SCALE_GAIN * log_scales + span)
        return (
            weights,
            ops.reshape(means, shape),
            ops.reshape(ops.minimum(log_scales, MOST_LOG_SCALE), shape),
        )


def pixel_distribution(channels: int, levels: int) -> PixelDistribution:
    """The distribution of pixels of a number of levels, at least 2."""
    return BinaryPixels(channels) if levels == 2 else LevelPixels(channels, levels)
