"""A generative adversarial network with self-attention."""

import keras
import numpy as np
from keras import ops

from tfattn._checks import check_integer, check_share, check_temperature, checked_images
from tfattn.models.adversarial import AdversarialModel, TwoTimeScaleOptimizer
from tfattn.models.base import ConditionalImageModel
from tfattn.models.gan.networks import ATTENTIONS, build_discriminator, build_generator


@keras.saving.register_keras_serializable(package="tfattn")
class SelfAttentionGAN(ConditionalImageModel, AdversarialModel):
    """Residual generator and discriminator with attention at half the image's size.

    With x an image, z a standard normal latent vector and y an optional class:

    1. generator: G(z, y), residual blocks from (h/4, w/4) to (h, w) with batch
       normalisation; a class stands beside z and in each normalisation
    2. discriminator: D(x, y) = w·f(x) + e(y)·f(x), f from residual blocks, summed over
       the places, the second term only with classes
    3. discriminator's loss: mean max(0, 1 − D(x, y)) + mean max(0, 1 + D(G(z, y), y))
    4. generator's loss: −mean D(G(z, y), y)

    One training step draws z once, lets the discriminator take a step on images and
    G(z, y), and then the generator one against the discriminator as it has become.
    Kernels of both networks are divided by their spectral norm, whose estimate moves
    once in a step. An exponential moving average of the generator draws the images.

    Training is plain `fit(x)`, or `fit((x, labels))` with classes, x in [0, 1], after
    `compile()`, on TensorFlow and JAX.

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
        width: Channels at full size, at least 8; twice as many below it in the
            generator, two and four times as many in the discriminator.
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

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=128,
        num_classes=None,
        attention="self",
        width=32,
        spectral_norm=True,
        ema_decay=0.999,
        seed=0,
        **kwargs,
    ):
        super().__init__(image_shape, num_classes, seed, divisor=4, **kwargs)
        check_integer("latent_dim", latent_dim, least=1)
        check_integer("width", width, least=8)
        if attention not in ATTENTIONS:
            raise ValueError(
                f"Expected attention in {list(ATTENTIONS)}. "
                f"Received: attention={attention!r}"
            )
        check_share("ema_decay", ema_decay)
        self.latent_dim = latent_dim
        self.attention = attention
        self.width = width
        self.spectral_norm = spectral_norm
        self.ema_decay = ema_decay

        shared = (num_classes, width, attention, spectral_norm)
        of_generator = (self.image_shape, latent_dim, *shared)
        with self._precision(self.dtype_policy):
            self.generator = build_generator(*of_generator, name="generator")
            self.discriminator = build_discriminator(self.image_shape, *shared)
        # It draws the images that are kept and measured: never in half precision.
        with self._precision(self.variable_dtype):
            self.generator_average = build_generator(
                *of_generator, name="generator_average"
            )
        self.generator_average.set_weights(self.generator.get_weights())
        self.generator_average.trainable = False
        self.discriminator_loss_tracker = keras.metrics.Mean(name="discriminator_loss")
        self.generator_loss_tracker = keras.metrics.Mean(name="generator_loss")
        self.built = True

    # --- training -------------------------------------------------------------

    def compile(self, optimizer=None, **kwargs):
        """`keras.Model.compile` with a `TwoTimeScaleOptimizer`, by default SAGAN's."""
        if optimizer is None:
            optimizer = TwoTimeScaleOptimizer()
        if not isinstance(optimizer, TwoTimeScaleOptimizer):
            raise ValueError(
                "A GAN has two optimisers. Expected optimizer to be a "
                f"TwoTimeScaleOptimizer. Received: optimizer={optimizer!r}"
            )
        if self.dtype_policy.name == "mixed_float16":
            optimizer.scale_losses()
        super().compile(optimizer, auto_scale_loss=False, **kwargs)
        optimizer.build_both(
            self.generator.trainable_variables, self.discriminator.trainable_variables
        )

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        self.compile(config["optimizer"], jit_compile=config["jit_compile"])

    def fit(self, x=None, *args, **kwargs):
        """`keras.Model.fit` without validation; arrays are checked before it starts."""
        if "validation_data" in kwargs or "validation_split" in kwargs:
            raise ValueError(
                "A GAN's losses say nothing of its images. Expected no validation "
                "data; measure what it generates by tfattn.evaluation."
            )
        return super().fit(x, *args, **kwargs)

    def adversarial_step(self, data):
        """One step of the discriminator, one of the generator, and the average's."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        x, condition = self._split(x)
        x = ops.cast(x, "float32")
        latents = keras.random.normal(
            (ops.shape(x)[0], self.latent_dim), seed=self.seed_generator
        )
        # The generator's pass is kept for its own gradient, which comes last.
        generated, generator_gradients = self.pullback(
            lambda: self.generator([latents, *condition], training=True),
            self.generator.trainable_variables,
        )
        self._discriminator_step(x, generated, condition)
        self._generator_step(generated, generator_gradients, condition)
        self._average_step()

    def _discriminator_step(self, x, generated, condition):
        variables = self.discriminator.trainable_variables
        optimizer = self.optimizer.discriminator
        loss, gradients = self.pullback(
            lambda: self._discriminator_loss(x, generated, condition), variables
        )
        found, _ = gradients(_loss_cotangent(optimizer))
        self.apply_gradients(optimizer, found, variables)
        self.discriminator_loss_tracker.update_state(loss)

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
        _, (d_generated,) = gradients(_loss_cotangent(optimizer))
        found, _ = generator_gradients(d_generated)
        variables = self.generator.trainable_variables
        self.apply_gradients(optimizer, found, variables)
        self.generator_loss_tracker.update_state(loss)

    def _average_step(self):
        step = ops.cast(self.optimizer.iterations, "float32")
        decay = ops.minimum(self.ema_decay, (1 + step) / (10 + step))
        for average, current in zip(
            self.generator_average.weights, self.generator.weights, strict=True
        ):
            average.assign(current + decay * (average - current))

    def _discriminator_loss(self, x, generated, condition):
        # In one pass, real and generated images meet the same weights.
        images = ops.concatenate([x, generated])
        condition = [ops.concatenate([c, c]) for c in condition]
        scores = self.discriminator([images, *condition], training=True)
        real, fake = ops.split(scores, 2)
        return self.discriminator_loss(real, fake)

    def discriminator_loss(self, real_scores, fake_scores):
        """Hinge loss of scores (n, 1) of real and of generated images: a scalar."""
        return ops.mean(ops.relu(1 - real_scores)) + ops.mean(ops.relu(1 + fake_scores))

    def generator_loss(self, fake_scores):
        """Loss of scores (n, 1) of generated images: a scalar."""
        return -ops.mean(fake_scores)

    @property
    def metrics(self):
        return [self.discriminator_loss_tracker, self.generator_loss_tracker]

    # --- using a trained model ------------------------------------------------

    def call(self, inputs, training=None):
        latents, condition = self._split(inputs)
        return self.generator_average([latents, *condition])

    def sample_latents(self, n, seed=None, temperature=1.0):
        """Draws n latents from N(0, temperature²·I): NumPy array (n, latent_dim)."""
        check_integer("n", n, least=1)
        check_temperature(temperature)
        latents = keras.random.normal((n, self.latent_dim), seed=seed)
        return ops.convert_to_numpy(temperature * latents)

    def generate(self, n, labels=None, seed=None, temperature=1.0):
        """Draws images from the average of the generator.

        Args:
            n: Number of images.
            labels: Classes (n,), for a model with classes.
            seed: Integer; the same seed gives the same images.
            temperature: Scale of the latents. Below 1 images are more typical and vary
                less, as with the truncation of Brock et al., arXiv:1809.11096,
                section 3.1.

        Returns:
            NumPy array (n, h, w, c) in [0, 1].

        Raises:
            ValueError: For labels out of range, missing, or without classes, or a
                temperature of 0 or below.
        """
        latents = self.sample_latents(n, seed, temperature)
        return self.generate_from(latents, labels)

    def generate_from(self, latents, labels=None):
        """The images of given latents (n, latent_dim), otherwise as `generate`."""
        inputs = self._generator_inputs(latents, labels)
        return self.generator_average.predict(inputs, batch_size=250, verbose=0)

    def attention_maps(self, latents, labels=None):
        """Where the generator looks while it generates images.

        Args:
            latents: Latents (n, latent_dim).
            labels: Classes (n,), for a model with classes.

        Returns:
            NumPy array: for `attention="self"` (n, h/2, w/2, h/4, w/4), whose last two
            axes sum to 1; for `"gate"` (n, h/2, w/2, 1), each entry between 0 and 1.

        Raises:
            ValueError: If the model has no map.
        """
        if self.attention not in ("self", "gate"):
            raise ValueError(
                "Maps exist for attention in ['self', 'gate']. Received: a model with "
                f"attention={self.attention!r}"
            )
        inputs = self._generator_inputs(latents, labels)
        return _attention_maps(self.generator_average, inputs)

    def discriminator_attention_maps(self, x, labels=None):
        """Where the discriminator looks while it judges images.

        Args:
            x: Images (n, h, w, c) in [0, 1].
            labels: Classes (n,), for a model with classes.

        Returns:
            NumPy array (n, h/2, w/2, h/4, w/4), whose last two axes sum to 1.

        Raises:
            ValueError: If the model's attention is not `"self"`.
        """
        if self.attention != "self":
            raise ValueError(
                "The discriminator has a map with attention='self'. Received: a model "
                f"with attention={self.attention!r}"
            )
        x = ops.convert_to_tensor(checked_images(x, self.image_shape))
        inputs = [x, *self._condition(labels, len(x))]
        return _attention_maps(self.discriminator, inputs)

    def gammas(self):
        """γ of the attention layer of each network that has one, by network's name."""
        return {
            network.name: float(ops.convert_to_numpy(layer.gamma).squeeze())
            for network in (self.generator, self.discriminator)
            if hasattr(layer := network.get_layer("attention"), "gamma")
        }

    def largest_singular_values(self):
        """σ of each kernel before its normalisation, by network/layer, exact."""
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

    def _generator_inputs(self, latents, labels):
        if len(latents.shape) != 2 or latents.shape[1] != self.latent_dim:
            raise ValueError(
                f"Expected latents of shape (n, {self.latent_dim}). "
                f"Received: latents of shape {tuple(latents.shape)}"
            )
        latents = ops.convert_to_tensor(latents, "float32")
        return [latents, *self._condition(labels, latents.shape[0])]

    def get_config(self):
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "attention": self.attention,
            "width": self.width,
            "spectral_norm": self.spectral_norm,
            "ema_decay": self.ema_decay,
        }


def _loss_cotangent(optimizer):
    """1, or the factor by which float16 training scales its loss."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.scale_loss(ops.ones(()))
    return ops.ones(())


def _attention_maps(network, inputs):
    """The map of a network's attention layer for a batch of inputs."""
    attention = network.get_layer("attention")
    features = keras.Model(network.inputs, attention.input)(inputs)
    _, maps = attention(features, return_attention_scores=True)
    return ops.convert_to_numpy(maps)
