"""A Transformer over the tokens of an image, with an exact likelihood."""

import keras
import numpy as np
from keras import ops

from tfattn._checks import (
    check_integer,
    check_temperature,
    checked_images,
    checked_visible,
)
from tfattn.models.base import ConditionalImageModel
from tfattn.models.compiling import compiled
from tfattn.models.transformer.decoder import TokenDecoder
from tfattn.models.transformer.text_encoder import TextEncoder
from tfattn.models.transformer.tokens import ImageTokens

CONDITIONS = (None, "class", "text")


@keras.saving.register_keras_serializable(package="tfattn")
class ImageTransformer(ConditionalImageModel):
    """Encoder and decoder that predict an image token by token.

    An image is a sequence of tokens t_1 … t_T, see `order` and `patch_size`. With y an
    optional condition:

    1. logits of token j: the decoder, which sees t_1 … t_{j−1}, the position of token
       j and the condition; see `TokenDecoder`
    2. the condition: a class's vector, or an encoder's outputs for the words of a text
    3. log p(x|y) = Σ_j log p(t_j | t_1 … t_{j−1}, y), exact

    Training is plain `fit(x)`, or `fit((x, condition))`, x in [0, 1], after
    `compile(optimizer)`: the loss is the mean of −log p(x|y), in nats per image. With
    two levels a grey pixel is drawn anew in each step, white with probability its
    value; with more it is rounded to the nearest level.

    Source: Parmar et al., *Image Transformer*, arXiv:1802.05751, section 3; Vaswani et
    al., arXiv:1706.03762, section 3, normalised before as in `TransformerDecoderLayer`.

    Args:
        image_shape: (h, w, c).
        levels: Number of levels of a pixel: 2 for binary images, 256 for bytes.
        patch_size: (patch_h, patch_w), divides h and w. A token is one channel of a
            patch and has levels^(patch_h·patch_w) values, at most 4096.
        num_layers: Number of decoder layers.
        num_heads: Number of heads; divides the width.
        width: Channels of a token's vector.
        condition: `None`, `"class"` or `"text"`.
        num_classes: Number of classes, with `condition="class"`.
        vocabulary: Words that a text may hold, with `condition="text"`.
        max_words: Largest number of words in a text, with `condition="text"`.
        order: `"raster"`, row by row, or `"coarse_to_fine"`: first the patches of a
            coarse grid, then those between, for `complete` from a coarse image.
        dropout: Share of weights and outputs that training drops, see
            `TransformerDecoderLayer`.
        seed: Seed of the draws in training.

    Call arguments:
        inputs: Images (n, h, w, c) in [0, 1], or with a condition (images, classes (n,)
            or words (n, max_words), see `TextEncoder`).

    Output:
        Dictionary: `logits` (n, tokens, values) and `negative_log_likelihood` (n,).

    Raises:
        ValueError: For an argument outside the ranges above, or one that `condition`
            does not take.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        levels=2,
        patch_size=(2, 2),
        num_layers=4,
        num_heads=2,
        width=96,
        condition=None,
        num_classes=None,
        vocabulary=None,
        max_words=None,
        order="raster",
        dropout=0.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(image_shape, num_classes, seed, divisor=1, **kwargs)
        _check_condition(condition, num_classes, vocabulary, max_words)
        self.levels = levels
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.width = width
        self.condition = condition
        self.vocabulary = vocabulary and tuple(vocabulary)
        self.max_words = max_words
        self.order = order
        self.dropout = dropout
        self.tokens = ImageTokens(self.image_shape, levels, patch_size, order)

        with self._precision(self.dtype_policy):
            text_encoder = None
            if condition == "text":
                text_encoder = TextEncoder(
                    vocabulary, max_words, width, num_heads, dropout
                )
            self.network = TokenDecoder(
                self.tokens,
                num_layers,
                num_heads,
                width,
                dropout,
                num_classes,
                text_encoder,
            )
        words_shape = (None, max_words) if text_encoder else None
        self.network.build((None, self.tokens.num_tokens), words_shape)
        self._log_density = compiled(self, self._log_density_of_tokens)
        self._draw_with_cache, self._draw_without_cache = (
            compiled(self, draw, jit_compile=True)
            for draw in (self.network.draw, self.network.draw_without_cache)
        )
        self.built = True

    # --- the density ----------------------------------------------------------

    def call(self, inputs, training=None):
        x, condition = self._split(inputs)
        x = ops.cast(x, "float32")
        if self.levels == 2:
            # A draw leaves 0 and 1 as they are: uniform numbers lie in [0, 1).
            x = keras.random.uniform(ops.shape(x), seed=self.seed_generator) < x
        else:
            x = ops.round(x * (self.levels - 1))
        tokens = self.tokens.from_levels(ops.cast(x, "int32"))
        logits = self.network(tokens, *condition, training=training)
        log_density = _log_density(tokens, logits)
        return {"logits": logits, "negative_log_likelihood": -log_density}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return ops.mean(y_pred["negative_log_likelihood"])

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()

    def _log_density_of_tokens(self, tokens, *condition):
        return _log_density(tokens, self.network(tokens, *condition))

    # --- using a trained model ------------------------------------------------

    def log_likelihood(self, x, condition=None, batch_size=100):
        """log p(x), or log p(x|condition), exact.

        Args:
            x: Images (n, h, w, c) in [0, 1], each pixel one of the model's levels.
            condition: Classes (n,) or texts (n), for a model with a condition.
            batch_size: Images at once.

        Returns:
            NumPy array (n,), nats per image.

        Raises:
            ValueError: If x is not of the model's size or has other levels.
        """
        tokens = self.tokens.from_levels(self._checked_levels(x))
        condition = self._condition(condition, len(x))
        parts = [
            self._log_density(tokens[part], *_tensors(condition, part))
            for part in _slices(len(x), batch_size)
        ]
        return np.concatenate([ops.convert_to_numpy(part) for part in parts])

    def generate(
        self,
        n,
        condition=None,
        temperature=1.0,
        seed=None,
        use_cache=True,
        batch_size=100,
    ):
        """Draws images from the model, token by token.

        Args:
            n: Number of images.
            condition: Classes (n,) or texts (n), for a model with a condition.
            temperature: Divides the logits: below 1 likely images become likelier.
            seed: Integer; the same seed gives the same images, also without the cache
                up to rounding.
            use_cache: Whether keys and values of earlier tokens are kept, or the whole
                sequence is computed again for each token.
            batch_size: Images at once.

        Returns:
            NumPy array (n, h, w, c) in [0, 1].

        Raises:
            ValueError: For a condition that does not fit, or a temperature of 0 or
                below.
        """
        check_integer("n", n, least=1)
        condition = self._condition(condition, n)
        return self._draw_images(
            n, condition, None, temperature, seed, use_cache, batch_size
        )

    def complete(
        self,
        x,
        visible,
        num_samples=1,
        condition=None,
        temperature=1.0,
        seed=None,
        batch_size=100,
    ):
        """Draws the hidden pixels of images from the model, given the visible ones.

        The draws are exact where all visible pixels precede all hidden ones in the
        model's order of tokens; within the one token where both meet, any may be
        visible. In raster order these are the upper rows of an image, in order coarse
        to fine also each second, fourth, … pixel. Other sets are refused: the model
        cannot draw a pixel given one that comes later.

        Args:
            x: Images (n, h, w, c) in [0, 1], each pixel one of the model's levels;
                hidden ones are of no account.
            visible: Boolean (h, w) or (n, h, w), the same for all channels.
            num_samples: Number of completions of each image.
            condition: Classes (n,) or texts (n), for a model with a condition.
            temperature, seed, batch_size: As in `generate`.

        Returns:
            NumPy array (n, num_samples, h, w, c) in [0, 1].

        Raises:
            ValueError: For `visible` of another shape, or a set that the order of
                tokens does not allow.
        """
        check_integer("num_samples", num_samples, least=1)
        n = len(x)
        x = checked_images(x, self.image_shape)
        visible = checked_visible(visible, n, self.image_shape)
        levels = self._checked_levels(np.where(visible, x, 0))
        given = self.tokens.given(levels, visible)
        given, condition = (
            [np.repeat(a, num_samples, axis=0) for a in arrays]
            for arrays in (given, self._condition(condition, n))
        )
        drawn = self._draw_images(
            n * num_samples, condition, given, temperature, seed, True, batch_size
        )
        return drawn.reshape(n, num_samples, *self.image_shape)

    def attention_maps(self, x, condition=None):
        """Where each token looks, while the model predicts given images.

        Args:
            x: Images (n, h, w, c) in [0, 1], each pixel one of the model's levels.
            condition: Classes (n,) or texts (n), for a model with a condition.

        Returns:
            Two NumPy arrays, tokens in the model's order. Self-attention (n, layers,
            heads, tokens, tokens): row j belongs to the prediction of token j, column
            i to the place where token i is predicted and its neighbours are read.
            Cross-attention (n, layers, heads, tokens, words), or `None` without a text.
        """
        tokens = self.tokens.from_levels(self._checked_levels(x))
        condition = self._condition(condition, len(x))
        own, cross = (
            None
            if of_layers[0] is None
            else ops.convert_to_numpy(ops.stack(of_layers, axis=1))
            for of_layers in zip(
                *self.network.attention_maps(tokens, *condition), strict=True
            )
        )
        return own, cross

    # --- drawing --------------------------------------------------------------

    def _draw_images(
        self, n, condition, given, temperature, seed, use_cache, batch_size
    ):
        """Images (n, h, w, c); `given` holds what `_draw` is told of visible pixels."""
        check_temperature(temperature)
        check_integer("batch_size", batch_size, least=1)
        # One uniform number for each token, whichever way its logits are computed.
        uniform = keras.random.uniform((n, self.tokens.num_tokens), seed=seed)
        draw = self._draw_with_cache if use_cache else self._draw_without_cache
        temperature = ops.convert_to_tensor(temperature, "float32")
        images = []
        for part in _slices(n, batch_size):
            tokens = draw(
                uniform[part],
                temperature,
                given and _tensors(given, part),
                *_tensors(condition, part),
            )
            images.append(ops.convert_to_numpy(self.tokens.to_levels(tokens)))
        return (np.concatenate(images) / (self.levels - 1)).astype("float32")

    # --- checks ---------------------------------------------------------------

    def _split(self, inputs):
        """The images, and their condition in a list, if any."""
        if self.condition is None:
            return inputs, []
        x, condition = inputs
        return x, [condition]

    def _condition(self, condition, n):
        """The checked condition as integers in a list, empty without one."""
        if self.condition != "text":
            labels = self._checked_labels(condition, n)
            return [] if labels is None else [labels.astype("int32")]
        if condition is None or isinstance(condition, str) or len(condition) != n:
            raise ValueError(f"Expected {n} texts. Received: condition={condition!r}")
        return [self.network.text_encoder.tokenize(condition)]

    def _training_inputs(self, x, condition):
        x = checked_images(x, self.image_shape)
        condition = self._condition(condition, len(x))
        return (x, *condition) if condition else x

    def _checked_levels(self, x):
        """Images as integers from 0 to levels − 1."""
        x = checked_images(x, self.image_shape) * (self.levels - 1)
        levels = np.rint(x)
        if np.any(np.abs(x - levels) > 1e-3):
            raise ValueError(
                f"Expected pixels of {self.levels} levels, multiples of "
                f"1/{self.levels - 1}, see tfattn.data.binarize for two. Received: "
                "values between"
            )
        return levels.astype("int32")

    def get_config(self):
        return {
            **super().get_config(),
            "levels": self.levels,
            "patch_size": self.tokens.patch_size,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "width": self.width,
            "condition": self.condition,
            "vocabulary": self.vocabulary,
            "max_words": self.max_words,
            "order": self.order,
            "dropout": self.dropout,
        }


def _log_density(tokens, logits):
    """Sum over the tokens (n, tokens) of the log-probabilities: (n,)."""
    return -ops.sum(
        keras.losses.sparse_categorical_crossentropy(tokens, logits, from_logits=True),
        axis=1,
    )


def _slices(n, batch_size):
    return [slice(start, start + batch_size) for start in range(0, n, batch_size)]


def _tensors(arrays, part):
    return [ops.convert_to_tensor(array[part]) for array in arrays]


def _check_condition(condition, num_classes, vocabulary, max_words):
    """ValueError unless the condition and its arguments go together."""
    if condition not in CONDITIONS:
        raise ValueError(
            f"Expected condition in {list(CONDITIONS)}. Received: "
            f"condition={condition!r}"
        )
    given = {
        "num_classes": num_classes,
        "vocabulary": vocabulary,
        "max_words": max_words,
    }
    needed = {"class": ["num_classes"], "text": ["vocabulary", "max_words"]}
    found = [name for name, value in given.items() if value is not None]
    if found != needed.get(condition, []):
        raise ValueError(
            f"condition={condition!r} takes {needed.get(condition, 'nothing more')}. "
            f"Received: {found or 'nothing more'}"
        )
