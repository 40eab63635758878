"""Flow matching: a velocity field that carries noise to images."""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from tfattn._checks import (
    check_above_0,
    check_choice,
    check_fraction,
    check_integer,
    check_share,
)
from tfattn._choices import ATTENTIONS
from tfattn._typing import Tensor
from tfattn.models.averaging import averaged_copy, move_average
from tfattn.models.exporting import ExportedFunction, tensor_input
from tfattn.models.flow.conditioning import visible_part
from tfattn.models.flow.densities import LOG_SNR, time_at
from tfattn.models.flow.dit import build_dit
from tfattn.models.flow.inpainting import FlowInpainting
from tfattn.models.flow.likelihood import FlowLikelihood
from tfattn.models.flow.maps import FlowMaps
from tfattn.models.flow.sampling import NUM_STEPS
from tfattn.models.flow.unet import build_unet
from tfattn.models.replicas import drawn
from tfattn.models.training_masks import training_masks

NETWORKS = {"unet": build_unet, "dit": build_dit}
OBJECTIVES = {"samples": "velocity_error", "likelihood": "noise_error"}


@keras.saving.register_keras_serializable(package="tfattn")
class AttentionFlow(FlowInpainting, FlowLikelihood, FlowMaps):
    """Rectified flow from noise to images, by a network with attention.

    With x₁ an image whose pixels are standardized, ε standard normal noise, y an
    optional class or text and t a time in [0, 1]:

    1. path: x_t = (1 − t) ε + t x₁, whose velocity is x₁ − ε
    2. network: v(x_t, t, y), trained to predict the velocity; what it learns is the
       mean of all velocities that pass through x_t at t
    3. generation: dx/dt = v(x, t, y) from noise at t = 0 to an image at t = 1

    In training, t is sigmoid(n) with n standard normal, and the loss is the mean of the
    squared error of the velocity. With `objective="likelihood"`, log(t²/(1 − t)²) is
    uniform and the loss is the error of the noise, t² times that of the velocity: up to
    a factor the bound on log p that `log_likelihood_bound` gives. Each image loses its
    class or text with probability `label_dropout`, so that the network also learns the
    velocity without it, which `guidance` needs. With `completes=True` the network also
    sees the part of the image that a mask leaves visible, lost with the same
    probability: half of the image, all but its center, a rectangle or strokes, see
    `tfattn.data.masks`. Nothing but training and `complete` shows it anything. An
    exponential moving average of the network, never the trained network itself,
    generates and measures.

    After `compile(optimizer)`, training is `fit(x)`, or `fit(x, condition)`,
    with x in [0, 1]. Metrics of `compile` compare the images with the estimates of them
    that the network's velocity gives.

    Source: Liu et al., *Flow Straight and Fast*, arXiv:2209.03003, equation 1; Lipman
    et al., *Flow Matching for Generative Modeling*, arXiv:2210.02747; Esser et al.,
    arXiv:2403.03206, section 3.1, for the times; Saharia et al., *Palette*,
    arXiv:2111.05826, for what is visible as further channels; Kingma et al.,
    *Variational Diffusion Models*, arXiv:2107.00630, equation 17, for the other
    objective; Ho & Salimans, *Classifier-Free Diffusion Guidance*, arXiv:2207.12598.

    Args:
        image_shape: (h, w, c), h and w divisible by 4.
        num_classes: Number of classes, or `None` for no class condition.
        vocabulary: Words that a text may hold, or `None` for no condition by texts.
            With them, each position of the U-Net at (h/4, w/4) attends to the words of
            the text, see `word_attention_maps`.
        max_words: Largest number of words in a text, with a vocabulary.
        network: `"unet"`, convolutions on 2×2 patches with attention at (h/4, w/4), or
            `"dit"`, a Transformer over 4×4 patches, see `build_dit`.
        attention: `"self"`, or a control: `"residual"` and `"uniform"`, of about as
            many parameters, and `None`.
        width: Channels of the U-Net at (h/2, w/2), divisible by 8; twice as many at
            (h/4, w/4), and four times as many in the Transformer.
        objective: `"samples"`, for images that look right, or `"likelihood"`, for a
            high log p: such a network also sees waves as short as a pixel's level.
        pixel_mean: Mean of a pixel, in [0, 1], which becomes 0.
        pixel_deviation: Standard deviation of a pixel, above 0, which becomes 1.
        completes: Whether the network is trained to complete images, for `complete`;
            needs `label_dropout` above 0.
        label_dropout: Share of the images that are trained without their class or text,
            and with `completes` the share that is trained without a visible part.
        ema_decay: Decay of the moving average, in [0, 1). Early on the average is
            shorter: the decay is at most (1 + s)/(10 + s) in step s, counted in
            batches.
        seed: Seed of the draws in training.

    Call arguments:
        inputs: Images (n, h, w, c) in [0, 1], or with a condition (images, classes (n,)
            or words (n, max_words), see `TextEncoder`).

    Output:
        Dictionary of the `images`, of their `estimates` (n, h, w, c) and of the
        `velocity_error` (n,): the mean over the pixels of the squared error; or for
        `objective="likelihood"` of the `noise_error` (n,).

    Exported functions:
        generate: `generate` from standard normal noise (n, h, w, c), and the condition,
            if any, without guidance, by 16 steps of Heun's method.
        velocity: `velocity` of standardized images (n, h, w, c) at times (n,), and the
            condition, if any, for a solver of your own.
        complete: With `completes=True` also `complete`, one completion of each image,
            from images, their masks (n, h, w, 1), 1 where visible, standard normal
            noise (n, h, w, c), and the condition, if any.

    Raises:
        ValueError: For an argument outside the ranges above.
    """

    LOSS_TERMS = ("velocity_error",)
    NOT_IN_ONNX = ("call",)
    ATTENTIONS = ATTENTIONS["flow"]

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        num_classes: int | None = None,
        vocabulary: Sequence[str] | None = None,
        max_words: int | None = None,
        network: Literal["unet", "dit"] = "unet",
        attention: Literal["self", "residual", "uniform"] | None = "self",
        width: int = 32,
        objective: Literal["samples", "likelihood"] = "samples",
        pixel_mean: float = 0.5,
        pixel_deviation: float = 0.5,
        completes: bool = False,
        label_dropout: float = 0.1,
        ema_decay: float = 0.999,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, num_classes, seed, divisor=4, **kwargs)
        check_choice("network", network, NETWORKS)
        _check_condition(num_classes, vocabulary, max_words, network)
        check_choice("attention", attention, self.ATTENTIONS)
        check_choice("objective", objective, OBJECTIVES)
        width = check_integer("width", width, least=8, divisor=8)
        check_fraction("pixel_mean", pixel_mean)
        check_above_0("pixel_deviation", pixel_deviation)
        check_share("label_dropout", label_dropout)
        if completes and label_dropout == 0:
            raise ValueError(
                "Without label_dropout the network never learns to generate from noise "
                "alone. Expected label_dropout above 0 with completes=True. Received: "
                f"label_dropout={label_dropout}"
            )
        check_share("ema_decay", ema_decay)
        self.vocabulary = None if vocabulary is None else tuple(map(str, vocabulary))
        if max_words is not None:
            max_words = check_integer("max_words", max_words, least=1)
        self.max_words = max_words
        self.network = network
        self.attention = attention
        self.width = width
        self.objective = objective
        self.LOSS_TERMS = (OBJECTIVES[objective],)
        self.pixel_mean = pixel_mean
        self.pixel_deviation = pixel_deviation
        self.completes = bool(completes)
        self.label_dropout = label_dropout
        self.ema_decay = ema_decay
        # Half precision would round the noise on the path, and the time.
        self.autocast = False

        pixels = None
        if objective == "likelihood":
            pixels = (pixel_mean, pixel_deviation)
        of_texts = {}
        if self.vocabulary is not None:
            of_texts = {"vocabulary": self.vocabulary, "max_words": max_words}
        build = functools.partial(
            NETWORKS[network],
            self.image_shape,
            num_classes,
            width,
            attention,
            pixels=pixels,
            completes=self.completes,
            **of_texts,
        )
        with self._settings(self.dtype_policy):
            self.trained_network = build(name="network")
        self.trained_network.autocast = False
        # It generates and measures: never in half precision.
        with self._settings(self._full_precision):
            average = build(name="average")
        self.average_network = averaged_copy(self.trained_network, average)
        self.num_averaged = self.add_weight(
            name="num_averaged",
            initializer="zeros",
            trainable=False,
            dtype="float32",
            autocast=False,  # half precision could not count to 3000
        )
        self.trackers = [keras.metrics.Mean(name=name) for name in self.LOSS_TERMS]
        self.built = True

    def _averages(self):
        return [self.average_network]

    # --- training -------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Tensor]:
        images, condition = self._split(inputs)
        if len(condition) != len(self._condition_inputs()):
            raise ValueError(
                "Expected images, and the condition if the model has one. Received: "
                f"images and {len(condition)} conditions"
            )
        images = ops.cast(images, "float32")
        uniform = drawn(keras.random.uniform, ops.shape(images), self.seed_generator)
        x = self._dequantized(images, uniform)
        n = ops.shape(x)[0]
        noise = drawn(keras.random.normal, ops.shape(x), self.seed_generator)
        t = time_at(self._log_snr(n))
        network = self.average_network
        if training:
            network = self.trained_network
            # As the last step has left it.
            move_average(
                self.average_network, network, self.ema_decay, self.num_averaged
            )
            self.num_averaged.assign_add(1.0)
            if self.completes:
                size = self.image_shape[:2]
                visible = training_masks(n, size, self.seed_generator)
                pixels = self._dequantized(images, 0.5)
                condition = [*condition, visible_part(pixels, visible)]
            condition = [self._without_some(part) for part in condition]
        on_path = noise + t[:, None, None, None] * (x - noise)
        seen = self._network_inputs(on_path, t, condition)
        velocity = ops.cast(network(seen), "float32")
        error = ops.mean(ops.square(velocity - (x - noise)), axis=(1, 2, 3))
        if self.objective == "likelihood":
            error = ops.square(t) * error
        estimates = on_path + (1 - t[:, None, None, None]) * velocity
        return {
            "images": images,
            "estimates": self._images(estimates),
            self.LOSS_TERMS[0]: error,
        }

    def _log_snr(self, n):
        """λ = log(t²/(1 − t)²) of n images in training."""
        if self.objective == "samples":
            return 2 * drawn(keras.random.normal, (n,), self.seed_generator)
        # Spread evenly over a batch, which makes its loss vary less.
        first = drawn(keras.random.uniform, (1,), self.seed_generator)
        places = ops.arange(n, dtype="float32") / ops.cast(n, "float32")
        lowest, highest = LOG_SNR
        return lowest + (highest - lowest) * ops.mod(first + places, 1.0)

    def _without_some(self, part):
        """One-hot classes, words or visible parts, some of them zeros, all of each."""
        shape = (ops.shape(part)[0], *[1] * (len(part.shape) - 1))
        numbers = drawn(keras.random.uniform, shape, self.seed_generator)
        return part * ops.cast(numbers >= self.label_dropout, part.dtype)

    def _compared(self, outputs):
        return outputs["images"], outputs["estimates"]

    # --- texts ----------------------------------------------------------------

    def _checked_condition(self, condition, n):
        """Classes (n,), or words (n, max_words) as numbers; `None` without either."""
        if self.vocabulary is None:
            return super()._checked_condition(condition, n)
        return self._text_encoder.tokenizer.checked(condition, n)

    def _converted_in_graph(self, y):
        return (
            y if self.vocabulary is None else self._text_encoder.tokenizer.in_graph(y)
        )

    def _encoded(self, condition):
        """Classes one-hot (n, num_classes), or words (n, max_words)."""
        if self.vocabulary is None:
            return super()._encoded(condition)
        return ops.cast(condition, "int32")

    @property
    def _text_encoder(self):
        return self.average_network.get_layer("text_encoder")

    def _condition_inputs(self):
        if self.max_words is None:
            return super()._condition_inputs()
        return [tensor_input("condition", self.max_words, dtype="int32")]

    # --- export and files -----------------------------------------------------

    def _exported_functions(self):
        def generate(noise, *condition):
            encoded = [self._encoded(classes) for classes in condition]
            end = self._flow("heun", noise, encoded, [], NUM_STEPS, 0.0, 1.0)
            return self._images(end)

        def velocity(images, times, *condition):
            encoded = [self._encoded(classes) for classes in condition]
            return self.velocity(images, times, encoded)

        def complete(images, visible, noise, *condition):
            encoded = [self._encoded(classes) for classes in condition]
            x = self._shown(images, visible, noise, encoded, [], NUM_STEPS)
            return ops.where(ops.equal(visible, 1.0), images, x)

        condition = self._condition_inputs()
        noise = tensor_input("noise", *self.image_shape)
        images = tensor_input("images", *self.image_shape)
        completing = {}
        if self.completes:
            visible = tensor_input("visible", *self.image_shape[:2], 1)
            inputs = [images, visible, noise, *condition]
            completing["complete"] = ExportedFunction(self, complete, inputs)
        return {
            **super()._exported_functions(),
            **completing,
            "generate": ExportedFunction(self, generate, [noise, *condition]),
            "velocity": ExportedFunction(
                self, velocity, [images, tensor_input("times"), *condition]
            ),
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary": self.vocabulary,
            "max_words": self.max_words,
            "network": self.network,
            "attention": self.attention,
            "width": self.width,
            "objective": self.objective,
            "pixel_mean": self.pixel_mean,
            "pixel_deviation": self.pixel_deviation,
            "completes": self.completes,
            "label_dropout": self.label_dropout,
            "ema_decay": self.ema_decay,
        }


def _check_condition(num_classes, vocabulary, max_words, network):
    """ValueError unless the arguments of the condition go together."""
    given = {
        "num_classes": num_classes,
        "vocabulary": vocabulary,
        "max_words": max_words,
    }
    found = [name for name, value in given.items() if value is not None]
    if found not in ([], ["num_classes"], ["vocabulary", "max_words"]):
        raise ValueError(
            "Expected num_classes, or vocabulary and max_words, or nothing as the "
            f"condition. Received: {found}"
        )
    if vocabulary is not None and network != "unet":
        raise ValueError(
            f"Expected network='unet' with a vocabulary. Received: network={network!r}"
        )
