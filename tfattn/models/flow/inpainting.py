"""Inpainting by a flow, trained for it or on whole images alone."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import (
    check_above_0,
    check_integer,
    checked_images,
    checked_partly_visible,
    checked_seed,
)
from tfattn._typing import Tensor
from tfattn.models.compiling import compiled
from tfattn.models.flow.conditioning import visible_part
from tfattn.models.flow.sampling import NUM_STEPS, FlowSampling

NUM_RESAMPLINGS = 4


def num_passes(num_steps: int, num_resamplings: int) -> int:
    """Passes through the network that `inpaint` takes."""
    return (num_steps - 1) * (1 + num_resamplings) + 1


def inpaint(
    velocity: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    visible: Tensor,
    noise: Tensor,
    num_steps: int | Tensor,
    num_resamplings: int | Tensor,
) -> Tensor:
    """Samples the hidden pixels of images, given the visible ones.

    The path is x_t = (1 − t) ε + t x₁, and t takes the values u (2 − u) for u = 0,
    1/num_steps, …, 1: short steps near the images, where little noise is left. A step
    from t to t' replaces the estimate of a visible pixel by the pixel itself,

        x̂₁ = x_t + (1 − t) v(x_t, t), known where visible,
        ε̂ = (x_t − t x̂₁) / (1 − t),

    and samples x_t' given both. With ρ the ratio of the noise to the signal at t', over
    that at t, and z standard normal,

        m = t' x̂₁ + (1 − t') ρ ε̂, x_t' = m + (1 − t') √(1 − ρ²) z.

    In such a step the hidden pixels follow a velocity that knows the visible ones only
    with their noise, and fit them badly. Resampling corrects this. It adds noise to
    x_t' until its time is t again,

        x_t = (t/t') x_t' + (1 − t) √(1 − ρ²) z,

    and replaces x_t' by its reflection 2m − x_t', with m from this new x_t. Without
    visible pixels both keep the distribution of (x_t, x_t') wherever that of x_t' given
    x_t is symmetric about its mean m, as it is for Gaussian data, whatever the size of
    the step. A new sample
    m + (1 − t') √(1 − ρ²) z in the place of the reflection varies too little, because
    it leaves out how x₁ spreads about its estimate. The last step takes the estimate
    alone and is not repeated.

    The samples are approximate. For Gaussian data their mean and covariance tend to
    those of the hidden pixels given the visible ones as `num_steps` and
    `num_resamplings` grow. With few steps they tend to those given the visible pixels
    seen with noise of deviation 4/(num_steps² − 4), and for 1 or 2 steps resampling
    does little. Where
    the hidden pixels have several modes, each of them is sampled well, but the shares
    of the modes have an error that falls slowly.

    Source: Lugmayr et al., *RePaint*, arXiv:2201.09865, section 4, for the replacement
    and the resampling; Song et al., *Denoising Diffusion Implicit Models*,
    arXiv:2010.02502, equation 12, for the step; Adler, *Over-relaxation method for the
    Monte Carlo evaluation of the partition function for multiquadratic actions*, Phys.
    Rev. D 23, 2901 (1981), for the reflection.

    Args:
        velocity: Function of x (n, h, w, c) and a time, a scalar.
        images: Tensor (n, h, w, c); hidden pixels are ignored, but have to be finite.
        visible: Boolean tensor (n, h, w, 1) or (n, h, w, c).
        noise: Standard normal tensor (n, 1 + num_passes(…), h, w, c).
        num_steps: Number of steps, at least 1.
        num_resamplings: Repetitions of each step but the last, at least 0.

    Returns:
        Tensor (n, h, w, c), whose visible pixels are those of `images`, bit by bit.
    """
    visits = 1 + num_resamplings

    def time(step):
        u = ops.cast(step, "float32") / ops.cast(num_steps, "float32")
        return u * (2 - u)

    def visit(i, x: Any):
        t, later = time(i // visits), time(i // visits + 1)
        ratio = (t / later) * (1 - later) / (1 - t)
        deviation = ops.sqrt(1 - ops.square(ratio))
        fresh = deviation * ops.take(noise, i + 1, axis=1)
        is_first = ops.equal(i % visits, 0)
        # The first visit starts from a state at t, the others from one at t'.
        state = ops.where(is_first, x, (t / later) * x + (1 - t) * fresh)
        estimate = state + (1 - t) * velocity(state, t)
        estimate = ops.where(visible, images, estimate)
        noise_estimate = (state - t * estimate) / (1 - t)
        mean = later * estimate + (1 - later) * ratio * noise_estimate
        return ops.where(is_first, mean + (1 - later) * fresh, 2 * mean - x)

    return ops.fori_loop(
        0, (num_steps - 1) * visits + 1, visit, ops.take(noise, 0, axis=1)
    )


class FlowInpainting(FlowSampling):
    """The part of `AttentionFlow` that completes images.

    Attributes:
        completes: Whether the network sees what is visible.
        label_dropout: Share of the images that are trained without their condition.
    """

    completes: bool
    label_dropout: float

    @functools.cached_property
    def _inpaint(self):
        return compiled(self, self._inpainted)

    def complete(
        self,
        images: ArrayLike,
        visible: ArrayLike,
        *,
        condition: Sequence[str] | ArrayLike | None = None,
        num_samples: int = 1,
        guidance: float = 1.0,
        guidance_interval: tuple[float, float] | None = None,
        num_steps: int = NUM_STEPS,
        num_resamplings: int | None = None,
        temperature: float = 1.0,
        seed: int | None = None,
        batch_size: int = 50,
    ) -> np.ndarray:
        """Samples the hidden pixels of images, given the visible ones (inpainting).

        Any pixels may be visible: a part of the image, or every second one, which is
        super-resolution. The model needs no training for it. The samples are
        approximate, and fit the visible pixels better with more resamplings: see
        `tfattn.models.flow.inpainting.inpaint`.

        A model with `completes=True` sees what is visible instead, and samples by
        Heun's method. It completes masks of the kinds that it was trained on, which
        super-resolution is not.

        Args:
            images: Images (n, h, w, c) in [0, 1]; hidden pixels are ignored.
            visible: Boolean array (h, w) or (n, h, w), `True` where a pixel is known;
                each image needs both kinds.
            condition: Classes (n,) or texts (n), for a model with a condition; `None`
                where they are not known, for a model with `label_dropout` above 0.
            num_samples: Completions of each image.
            guidance, guidance_interval: As for `generate`.
            num_steps: Steps from noise to images. Each visit of a step takes one pass
                through the network, and with `completes=True` each step takes two; with
                guidance twice as many.
            num_resamplings: How often each step but the last is repeated; `None` for 4.
                With `completes=True` there is no such repetition.
            temperature: Standard deviation of the noise of the hidden pixels.
            seed: Integer; the same seed gives the same completions.
            batch_size: Completions computed at once. The noise of each takes as many
                images as there are passes through the network, and with
                `completes=True` one.

        Returns:
            NumPy array (n, num_samples, h, w, c) in [0, 1]; visible pixels are those
            of `images`, bit by bit.

        Raises:
            ValueError: For an argument outside the ranges above, images of another
                shape, with NaN or outside [0, 1], a mask of another shape or type, one
                that is all visible or all hidden, a condition that does not fit the
                model, or `num_resamplings` with `completes=True`.
        """
        num_samples = check_integer("num_samples", num_samples, least=1)
        num_steps = check_integer("num_steps", num_steps, least=1)
        num_resamplings = self._checked_resamplings(num_resamplings)
        check_above_0("temperature", temperature)
        guide = self._checked_guidance(condition, guidance, guidance_interval)
        images = checked_images(images, self.image_shape)
        visible = checked_partly_visible(visible, len(images), self.image_shape)
        encoded = self._condition_if_known(condition, len(images))
        images, visible = (np.repeat(a, num_samples, axis=0) for a in (images, visible))
        deviation = np.where(visible, 1, temperature).astype("float32")
        passes = 0 if self.completes else num_passes(num_steps, num_resamplings)
        size = (1 + passes, *self.image_shape)
        if seed is None:  # as `keras.utils.set_random_seed` has it
            drawn = keras.random.randint((), 0, 2**31 - 1)
            seed = int(ops.convert_to_numpy(drawn))
        rng = np.random.default_rng(checked_seed(seed))

        def inpainted(x, visible, deviation, *encoded):
            # Image after image, so that no sample depends on the size of the batch.
            noise = rng.standard_normal((len(x), *size), "float32")
            noise *= ops.convert_to_numpy(deviation)[:, None]
            noise = ops.convert_to_tensor(noise)
            return self._inpaint(
                x, visible, noise, encoded, guide, num_steps, num_resamplings
            )

        completions = self._in_batches(
            inpainted,
            batch_size,
            images,
            visible,
            deviation,
            *(ops.repeat(part, num_samples, axis=0) for part in encoded),
        )
        completions = np.where(visible, images, completions)
        return completions.reshape(-1, num_samples, *self.image_shape)

    def _condition_if_known(self, condition, n):
        """The condition encoded, or zeros, which stand for none."""
        if condition is not None or self.label_dropout == 0:
            return self._condition(condition, n)
        inputs = self.average_network.inputs[2:]
        if self.completes:
            inputs.pop()  # what is visible
        return [ops.zeros((n, *given.shape[1:]), given.dtype) for given in inputs]

    def _checked_resamplings(self, num_resamplings):
        if num_resamplings is None:
            return NUM_RESAMPLINGS
        if self.completes:
            raise ValueError(
                "A model with completes=True repeats no step. Expected "
                f"num_resamplings=None. Received: num_resamplings={num_resamplings!r}"
            )
        return check_integer("num_resamplings", num_resamplings, least=0)

    def _inpainted(
        self, images, visible, noise, condition, guidance, num_steps, num_resamplings
    ):
        if self.completes:
            shown = ops.cast(visible, "float32")
            return self._shown(
                images, shown, noise[:, 0], condition, guidance, num_steps
            )
        x = inpaint(
            lambda x, t: self._guided_velocity(x, t, condition, guidance),
            self._dequantized(images, 0.5),
            visible,
            noise,
            num_steps,
            num_resamplings,
        )
        return self._images(x)

    def _shown(self, images, visible, noise, condition, guidance, num_steps):
        """Images from noise, by a network that sees what is visible of others."""
        seen = visible_part(self._dequantized(images, 0.5), visible)
        x = self._flow("heun", noise, [*condition, seen], guidance, num_steps, 0.0, 1.0)
        return self._images(x)
