"""A generative adversarial network with self-attention."""

from typing import Any, Literal, NoReturn

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import (
    check_above_0,
    check_choice,
    check_integer,
    check_share,
    checked_images,
    checked_seed,
)
from tfattn._choices import ATTENTIONS
from tfattn._typing import Tensor
from tfattn.models.adversarial import AdversarialModel, loss_cotangent
from tfattn.models.attention import attention_map, check_has_map, gammas
from tfattn.models.averaging import averaged_copy, move_average
from tfattn.models.base import IMAGES_AT_ONCE
from tfattn.models.exporting import tensor_input
from tfattn.models.gan.networks import (
    build_discriminator,
    build_generator,
    num_halvings,
)
from tfattn.models.replicas import drawn
from tfattn.models.training_data import is_data_set


@keras.saving.register_keras_serializable(package="tfattn")
class SelfAttentionGAN(AdversarialModel):
    """Residual generator and discriminator with attention between distant places.

    With x an image, z a standard normal latent vector and y an optional class:

    1. generator: G(z, y), residual blocks from a coarse grid to (h, w) with batch
       normalization; the grid is (h/4, w/4), or of sizes that are divisible and leave 7
       pixels (h/8, w/8) or (h/16, w/16); attention is at (h/2, w/2), or one or two
       sizes below where that has more than 32 pixels; a class enters beside z and in
       each normalization
    2. discriminator: D(x, y) = w·f(x) + e(y)·f(x), f from residual blocks, summed over
       the places, the second term only with classes
    3. discriminator's loss: mean max(0, 1 − D(x, y)) + mean max(0, 1 + D(G(z, y), y))
    4. generator's loss: −mean D(G(z, y), y)

    One training step draws z once, lets the discriminator take a step on images and
    G(z, y), and then the generator one against the discriminator as it has become.
    Kernels of both networks are divided by their spectral norm, whose estimate moves
    once in a step. An exponential moving average of the generator generates the images.

    After `compile()`, training is `fit(x)`, or with classes `fit(x, labels)`, with x in
    [0, 1], on TensorFlow and JAX. Metrics of `compile` get the real and the generated
    images of each step.

    Source: Zhang et al., *Self-Attention Generative Adversarial Networks*,
    arXiv:1805.08318, equation 4; Miyato & Koyama, *cGANs with Projection
    Discriminator*, arXiv:1802.05637, equation 3.

    Args:
        image_shape: (h, w, c), h and w divisible by 4.
        latent_dim: Number of latents.
        num_classes: Number of classes, or `None` for no class condition.
        attention: `"self"` (`SelfAttention2D` in both networks), `"gate"`
            (`AttentionGate` in the generator alone), or a control: `"residual"` and
            `"uniform"`, of about as many parameters as `"self"`, and `None`.
        width: Channels at full size, at least 8; in the generator twice as many below
            it and four times below (h/4, w/4), in the discriminator twice as many at
            each halving, up to eight times.
        spectral_norm: Whether kernels are divided by their spectral norm.
        ema_decay: Decay of the generator's moving average, in [0, 1). Early on the
            average is shorter: the decay is at most (1 + t)/(10 + t) in step t.
        seed: Seed of the draws in training.

    Call arguments:
        inputs: Latents (n, latent_dim), or with classes (latents, labels (n,)).

    Output:
        Images (n, h, w, c) in [0, 1].

    Raises:
        ValueError: For an argument outside the ranges above.
    """

    # "gate" belongs to the generator alone.
    ATTENTIONS = ATTENTIONS["gan"]

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        latent_dim: int = 128,
        num_classes: int | None = None,
        attention: Literal["self", "gate", "residual", "uniform"] | None = "self",
        width: int = 32,
        spectral_norm: bool = True,
        ema_decay: float = 0.999,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, num_classes, seed, divisor=4, **kwargs)
        latent_dim = check_integer("latent_dim", latent_dim, least=1)
        width = check_integer("width", width, least=8)
        check_choice("attention", attention, self.ATTENTIONS)
        check_share("ema_decay", ema_decay)
        self.latent_dim = latent_dim
        self.attention = attention
        self.width = width
        self.spectral_norm = spectral_norm
        self.ema_decay = ema_decay

        shared = (num_classes, width, attention, spectral_norm)
        of_generator = (self.image_shape, latent_dim, *shared)
        with self._settings(self.dtype_policy):
            self.generator = build_generator(*of_generator, name="generator")
            self.discriminator = build_discriminator(
                self.image_shape, *shared, num_halvings(self.image_shape)
            )
        # It draws the images that are kept and measured: never in half precision.
        with self._settings(self._full_precision):
            average = build_generator(*of_generator, name="generator_average")
        self.generator_average = averaged_copy(self.generator, average)
        self.trackers = [
            keras.metrics.Mean(name=f"{name}_loss")
            for name in ("discriminator", "generator")
        ]
        self.built = True

    def _averages(self):
        return [self.generator_average]

    # --- training -------------------------------------------------------------

    def generator_variables(self) -> list[keras.Variable]:
        """The trainable variables of the generator."""
        return self.generator.trainable_variables

    def fit(
        self,
        x: Any = None,
        y: ArrayLike | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """`keras.Model.fit` without validation: no loss measures images."""
        if kwargs.get("validation_data") is not None or kwargs.get("validation_split"):
            self.evaluate()
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises `ValueError`: a GAN has no loss that measures its images."""
        raise ValueError(
            "A GAN's losses say nothing about its images. Expected no evaluation or "
            "validation data; to measure what the GAN generates, use tfattn.evaluation."
        )

    def test_on_batch(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises `ValueError`, as `evaluate`."""
        self.evaluate()

    def adversarial_step(self, data: Any) -> None:
        """One step of the discriminator, one of the generator, and the average's."""
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        x, condition = self._split(inputs)
        x = ops.cast(x, "float32")
        latents = drawn(
            keras.random.normal, (ops.shape(x)[0], self.latent_dim), self.seed_generator
        )
        # The generator's pass is kept for its own gradient, which comes last.
        generated, generator_gradients = self.pullback(
            lambda: self.generator([latents, *condition], training=True),
            self.generator_variables(),
        )
        losses = [
            self.discriminator_step(x, generated, condition),
            self._generator_step(generated, generator_gradients, condition),
        ]
        move_average(
            self.generator_average,
            self.generator,
            self.ema_decay,
            self.optimizer.iterations,
        )
        for tracker, loss in zip(self.trackers, losses, strict=True):
            tracker.update_state(loss)
        self.compute_metrics(inputs, None, {"images": x, "generated": generated})

    def _generator_step(self, generated, generator_gradients, condition):
        optimizer = self.optimizer.generator
        # Without training=True the discriminator's estimates stay where they are.
        loss, gradients = self.pullback(
            lambda images: self.generator_loss(
                self.discriminator([images, *condition])
            ),
            [],
            generated,
        )
        _, (d_generated,) = gradients(
            loss_cotangent(optimizer, ops.shape(generated)[0])
        )
        found, _ = generator_gradients(d_generated)
        self.apply_gradients(optimizer, found, self.generator_variables())
        return loss

    def _compared(self, outputs):
        return outputs["images"], outputs["generated"]

    # --- using a trained model ------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        latents, condition = self._split(inputs)
        return self.generator_average([latents, *condition])

    def sample_latents(
        self, n: int, *, temperature: float = 1.0, seed: int | None = None
    ) -> np.ndarray:
        """Samples n latents from N(0, temperature²·I): NumPy array (n, latent_dim)."""
        n = check_integer("n", n, least=1)
        check_above_0("temperature", temperature)
        latents = keras.random.normal((n, self.latent_dim), seed=checked_seed(seed))
        return ops.convert_to_numpy(temperature * latents)

    def generate(
        self,
        n: int,
        condition: ArrayLike | None = None,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> np.ndarray:
        """Generates images by the moving average of the generator.

        Args:
            n: Number of images.
            condition: Classes (n,), for a model with classes.
            temperature: Scale of the latents. Below 1 images are more typical and vary
                less, as with the truncation of Brock et al., arXiv:1809.11096,
                section 3.1.
            seed: Integer; the same seed gives the same images.

        Returns:
            NumPy array (n, h, w, c) in [0, 1].

        Raises:
            ValueError: For a condition that does not fit the model, or a temperature
                that is not above 0.
        """
        latents = self.sample_latents(n, temperature=temperature, seed=seed)
        return self.generate_from(latents, condition)

    def generate_from(
        self, latents: Tensor, condition: ArrayLike | None = None
    ) -> np.ndarray:
        """The images of given latents (n, latent_dim), otherwise as `generate`."""
        inputs = self._generator_inputs(latents, condition)
        # Not by `predict`: for a few images, building a graph would take longest.
        return self._in_batches(
            lambda *part: self.generator_average([*part]), IMAGES_AT_ONCE, *inputs
        )

    def attention_maps(
        self, latents: Tensor, condition: ArrayLike | None = None
    ) -> np.ndarray:
        """The generator's attention map while it generates images.

        Args:
            latents: Latents (n, latent_dim).
            condition: Classes (n,), for a model with classes.

        Returns:
            NumPy array: for `attention="self"` (n, h/2, w/2, h/4, w/4), whose last two
            axes sum to 1; for `"gate"` (n, h/2, w/2, 1), each entry between 0 and 1.
            If attention is applied to a smaller map, all sizes refer to that map.

        Raises:
            ValueError: If the model has no map.
        """
        check_has_map(self.attention, ["self", "gate"])
        inputs = self._generator_inputs(latents, condition)
        return attention_map(self.generator_average, "attention", inputs)

    def discriminator_attention_maps(
        self, x: ArrayLike, condition: ArrayLike | None = None
    ) -> np.ndarray:
        """The discriminator's attention map while it scores images.

        Args:
            x: Images (n, h, w, c) in [0, 1].
            condition: Classes (n,), for a model with classes.

        Returns:
            NumPy array (n, h/2, w/2, h/4, w/4), whose last two axes sum to 1.

        Raises:
            ValueError: If the model's attention is not `"self"`.
        """
        check_has_map(self.attention, ["self"])
        x = checked_images(x, self.image_shape)
        encoded = self._condition(condition, len(x))
        inputs = [ops.convert_to_tensor(x), *encoded]
        return attention_map(self.discriminator, "attention", inputs)

    def gammas(self) -> dict[str, float]:
        """γ of the attention layer of each network that has one, by network's name."""
        return gammas({self.generator: "attention", self.discriminator: "attention"})

    def largest_singular_values(self) -> dict[str, float]:
        """σ of each kernel before its normalization, by network/layer, exact."""
        return {
            f"{network.name}/{layer.name}": float(
                np.linalg.norm(
                    ops.convert_to_numpy(layer.kernel).reshape(
                        -1, layer.kernel.shape[-1]
                    ),
                    ord=2,
                )
            )
            for network in (self.generator, self.discriminator)
            for layer in network.layers
            if hasattr(layer, "kernel")
        }

    def _generator_inputs(self, latents, condition):
        if len(latents.shape) != 2 or latents.shape[1] != self.latent_dim:
            raise ValueError(
                f"Expected latents of shape (n, {self.latent_dim}). "
                f"Received: latents of shape {tuple(latents.shape)}"
            )
        latents = ops.convert_to_tensor(latents, "float32")
        return [latents, *self._condition(condition, latents.shape[0])]

    def _inputs(self, x):
        if not is_data_set(x):
            pair = x if isinstance(x, tuple | list) else (x, None)
            self._generator_inputs(*pair)
        return x

    def _exported_functions(self):
        return self._exported_call(tensor_input("latents", self.latent_dim))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "attention": self.attention,
            "width": self.width,
            "spectral_norm": self.spectral_norm,
            "ema_decay": self.ema_decay,
        }
