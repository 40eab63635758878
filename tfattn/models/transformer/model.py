"""A Transformer over the tokens of an image, with an exact likelihood."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import (
    check_choice,
    check_integer,
    checked_images,
    checked_visible,
)
from tfattn._typing import Tensor
from tfattn.densities import IMPOSSIBLE, categorical_log_density
from tfattn.models.base import binary_draw
from tfattn.models.compiling import compiled
from tfattn.models.exporting import ExportedFunction, tensor_input
from tfattn.models.patch_encoder import PatchEncoder
from tfattn.models.text_encoder import TextEncoder
from tfattn.models.transformer.decoder import TokenDecoder
from tfattn.models.transformer.drawing import TransformerDrawing
from tfattn.models.transformer.sampling import batches, fitting_values
from tfattn.models.transformer.tokens import ImageTokens

# The arguments that each condition requires.
CONDITIONS = {
    None: [],
    "class": ["num_classes"],
    "text": ["vocabulary", "max_words"],
    "image": ["condition_channels"],
}
# Over an image that is the condition.
NUM_ENCODER_LAYERS = 2


@keras.saving.register_keras_serializable(package="tfattn")
class ImageTransformer(TransformerDrawing):
    """Encoder and decoder that predict an image token by token.

    An image is a sequence of tokens t_1 … t_T, see `order` and `patch_size`. With y an
    optional condition:

    1. logits of token j: the decoder, which sees t_1 … t_{j−1}, the position of token
       j and the condition; see `TokenDecoder`
    2. the condition: a class's vector, or an encoder's outputs for the words of a text
       or for the patches of another image, which are also added to the vectors of the
       tokens there
    3. log p(x|y) = Σ_j log p(t_j | t_1 … t_{j−1}, y), exact

    After `compile(optimizer)`, training is `fit(x)`, or `fit(x, condition)`, with x in
    [0, 1]. The loss is the mean of −log p(x|y), in nats per image. With two levels,
    gray pixels are probabilities, from which binary images are sampled anew in each
    step; with more levels, each pixel is rounded to the nearest one. Metrics of
    `compile` compare these images with each pixel's mean, given the tokens before it.

    Source: Parmar et al., *Image Transformer*, arXiv:1802.05751, section 3; Vaswani et
    al., arXiv:1706.03762, section 3, normalized before as in `TransformerDecoderLayer`.

    Args:
        image_shape: (h, w, c).
        levels: Number of levels of a pixel: 2 for binary images, 256 for bytes.
        patch_size: (patch_h, patch_w), divides h and w. A token is one channel of a
            patch and has levels^(patch_h·patch_w) values, at most 4096. In order coarse
            to fine it is a patch without its first pixel, levels^(patch_h·patch_w − 1)
            values, and a patch has more than one pixel.
        num_layers: Number of decoder layers.
        num_heads: Number of heads; divides the width.
        width: Channels of a token's vector.
        condition: `None`, `"class"`, `"text"` or, for image translation, `"image"`: an
            image of the same height and width.
        num_classes: Number of classes, with `condition="class"`.
        vocabulary: Words that a text may hold, with `condition="text"`.
        max_words: Largest number of words in a text, with `condition="text"`.
        condition_channels: Channels of the other image, with `condition="image"`.
        order: `"raster"`, patches row by row, or `"coarse_to_fine"`: first a coarse
            image, which has the first pixel of each patch and is itself made from a
            coarser one in this way, then the other pixels. `complete` then takes coarse
            images. See `ImageTokens`.
        dropout: Share of weights and outputs that training drops, see
            `TransformerDecoderLayer`.
        seed: Seed of the draws in training.

    Call arguments:
        inputs: Images (n, h, w, c) in [0, 1], or with a condition (images, classes (n,)
            or words (n, max_words), see `TextEncoder`, or images (n, h, w,
            condition_channels)).

    Output:
        Dictionary: `images` of the model's levels (n, h, w, c), `logits` (n, tokens,
        values) and `negative_log_likelihood` (n,), in nats.

    Exported functions:
        generate: `generate` from uniform numbers in [0, 1) (n, tokens), and the
            condition, if any.
        next_token: Logits (n, tokens, values) of each token from those before it, from
            int32 tokens (n, tokens), and the condition, if any. `ImageTokens` turns
            pixels into tokens and back.

    Raises:
        ValueError: For an argument outside the ranges above, or one that `condition`
            does not take.
    """

    LOSS_TERMS = ("negative_log_likelihood",)
    NOT_IN_ONNX = ("call", "generate")

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        levels: int = 2,
        patch_size: tuple[int, int] = (2, 2),
        num_layers: int = 4,
        num_heads: int = 2,
        width: int = 96,
        condition: Literal["class", "text", "image"] | None = None,
        num_classes: int | None = None,
        vocabulary: Sequence[str] | None = None,
        max_words: int | None = None,
        condition_channels: int | None = None,
        order: Literal["raster", "coarse_to_fine"] = "raster",
        dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, num_classes, seed, divisor=1, **kwargs)
        _check_condition(
            condition,
            num_classes=num_classes,
            vocabulary=vocabulary,
            max_words=max_words,
            condition_channels=condition_channels,
        )
        self.levels = check_integer("levels", levels, least=2)
        self.num_layers = check_integer("num_layers", num_layers, least=1)
        self.num_heads = check_integer("num_heads", num_heads, least=1)
        self.width = check_integer("width", width, least=1)
        self.condition = condition
        self.vocabulary = None if vocabulary is None else tuple(map(str, vocabulary))
        if max_words is not None:
            max_words = check_integer("max_words", max_words, least=1)
        self.max_words = max_words
        if condition_channels is not None:
            condition_channels = check_integer(
                "condition_channels", condition_channels, least=1
            )
        self.condition_channels = condition_channels
        self.order = order
        self.dropout = dropout
        self.tokens = ImageTokens(self.image_shape, self.levels, patch_size, order)

        with self._settings(self.dtype_policy):
            text_encoder = image_encoder = None
            if vocabulary is not None and max_words is not None:
                text_encoder = TextEncoder(
                    vocabulary, max_words, self.width, self.num_heads, dropout
                )
            if condition == "image":
                image_encoder = PatchEncoder(
                    self.tokens.patch_size,
                    NUM_ENCODER_LAYERS,
                    self.num_heads,
                    self.width,
                    dropout,
                )
            self.network = TokenDecoder(
                self.tokens,
                self.num_layers,
                self.num_heads,
                self.width,
                dropout,
                self.num_classes,
                text_encoder,
                image_encoder,
            )
        shape = self._condition_shape()
        condition_shape = None if shape is None else (None, *shape)
        self.network.build((None, self.tokens.num_tokens), condition_shape)
        self.trackers = []  # the only term is Keras's own "loss"
        self._log_density = compiled(self, self._log_density_of_tokens)
        self._log_density_of_hidden = compiled(self, self._log_density_given)
        self.built = True

    # --- the density ----------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Tensor]:
        x, condition = self._split(inputs)
        if self.levels == 2:
            x = binary_draw(x, self.seed_generator)
        else:
            x = ops.round(ops.cast(x, "float32") * (self.levels - 1))
        tokens = self.tokens.from_levels(ops.cast(x, "int32"))
        logits = self.network(tokens, *condition, training=training)
        return {
            "images": x / (self.levels - 1),
            "logits": logits,
            "negative_log_likelihood": -categorical_log_density(tokens, logits),
        }

    def _compared(self, outputs):
        means = self.tokens.mean_levels(ops.softmax(outputs["logits"]))
        return outputs["images"], means / (self.levels - 1)

    def _log_density_of_tokens(self, tokens, *condition):
        return categorical_log_density(tokens, self.network(tokens, *condition))

    def _log_density_given(self, tokens, levels, shown, *condition):
        logits = self.network(tokens, *condition)
        fits = fitting_values(self.tokens.pixels, levels, shown)
        return categorical_log_density(tokens, ops.where(fits, logits, IMPOSSIBLE))

    # --- using a trained model ------------------------------------------------

    def log_likelihood(
        self,
        x: ArrayLike,
        condition: Sequence[str] | ArrayLike | None = None,
        *,
        visible: ArrayLike | None = None,
        batch_size: int = 100,
    ) -> np.ndarray:
        """log p(x), or log p(x|condition), exact; or that of a part, given the rest.

        Args:
            x: Images (n, h, w, c) in [0, 1], each pixel one of the model's levels.
            condition: Classes (n,), texts (n) or images (n, h, w, condition_channels)
                in [0, 1], for a model with a condition.
            visible: Boolean (h, w) or (n, h, w), as for `complete`: then of the hidden
                pixels, given the visible ones and the condition.
            batch_size: Images at once.

        Returns:
            NumPy array (n,), nats per image.

        Raises:
            ValueError: If x is not of the model's size or has other levels, or for
                visible pixels that the order of tokens does not allow.
        """
        levels = self._checked_levels(x)
        n = len(levels)
        arrays, density = [self.tokens.from_levels(levels)], self._log_density
        if visible is not None:
            visible = checked_visible(visible, n, self.image_shape)
            arrays += self.tokens.given(levels, visible)
            density = self._log_density_of_hidden
        arrays += self._condition(condition, n)
        parts = [
            ops.convert_to_numpy(density(*part))
            for part in batches(arrays, n, batch_size)
        ]
        return np.concatenate(parts)[:n]

    def attention_maps(
        self, x: ArrayLike, condition: Sequence[str] | ArrayLike | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What each token attends to while the model predicts given images.

        Args:
            x: Images (n, h, w, c) in [0, 1], each pixel one of the model's levels.
            condition: As in `log_likelihood`.

        Returns:
            Two NumPy arrays, tokens in the model's order. Self-attention (n, layers,
            heads, tokens, tokens): row j belongs to the prediction of token j, column
            i to the place where token i is predicted and its neighbors are read.
            Cross-attention (n, layers, heads, tokens, words of the text or patches of
            the other image, row by row), or `None` without either.
        """
        levels = self._checked_levels(x)
        tokens = self.tokens.from_levels(levels)
        encoded = self._condition(condition, len(levels))
        own, cross = zip(*self.network.attention_maps(tokens, *encoded), strict=True)
        return _stacked(own), None if cross[0] is None else _stacked(cross)

    # --- checks ---------------------------------------------------------------

    def _checked_condition(self, condition, n):
        """Classes (n,), words (n, max_words) as numbers, or images; `None` for none."""
        text_encoder, shape = self.network.text_encoder, self._condition_shape()
        if text_encoder is not None:
            return text_encoder.tokenizer.checked(condition, n)
        if self.condition != "image" or shape is None:
            return super()._checked_condition(condition, n)
        if condition is None:
            raise ValueError(
                f"Expected a condition, images of shape (n, {str(shape)[1:]}. "
                "Received: none"
            )
        condition = checked_images(condition, shape, "condition")
        if len(condition) != n:
            raise ValueError(
                f"Expected a condition for each of {n} images. Received: condition "
                f"with {len(condition)} images"
            )
        return condition

    def _converted_in_graph(self, y):
        text_encoder = self.network.text_encoder
        return y if text_encoder is None else text_encoder.tokenizer.in_graph(y)

    def _encoded(self, condition):
        """Classes and words stay numbers, of which the network has vectors."""
        return ops.cast(condition, "float32" if self.condition == "image" else "int32")

    def _condition_shape(self):
        """Of what conditions one image, () for a class; `None` without a condition."""
        shapes: dict[str | None, tuple] = {
            "class": (),
            "text": (self.max_words,),
            "image": (*self.image_shape[:2], self.condition_channels),
        }
        return shapes.get(self.condition)

    def _checked_levels(self, x) -> np.ndarray:
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

    def _exported_functions(self):
        def generate(uniform, *condition):
            temperature = ops.ones(())
            tokens = self.network.draw(uniform, temperature, None, *condition)
            return self.tokens.to_levels(tokens) / (self.levels - 1)

        condition = self._condition_inputs()
        uniform, tokens = (
            tensor_input(name, self.tokens.num_tokens, dtype=dtype)
            for name, dtype in (("uniform", "float32"), ("tokens", "int32"))
        )
        return {
            **super()._exported_functions(),
            "generate": ExportedFunction(self, generate, [uniform, *condition]),
            "next_token": ExportedFunction(self, self.network, [tokens, *condition]),
        }

    def _condition_inputs(self):
        shape = self._condition_shape()
        if shape is None:
            return []
        dtype = "float32" if self.condition == "image" else "int32"
        return [tensor_input("condition", *shape, dtype=dtype)]

    def get_config(self) -> dict[str, Any]:
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
            "condition_channels": self.condition_channels,
            "order": self.order,
            "dropout": self.dropout,
        }


def _stacked(maps):
    """The maps of the layers as one array (n, layers, ...)."""
    return ops.convert_to_numpy(ops.stack(maps, axis=1))


def _check_condition(condition, **arguments):
    """ValueError unless the condition and its arguments go together."""
    check_choice("condition", condition, CONDITIONS)
    found = [name for name, value in arguments.items() if value is not None]
    if found != CONDITIONS[condition]:
        raise ValueError(
            f"condition={condition!r} takes {CONDITIONS[condition] or 'nothing more'}. "
            f"Received: {found or 'nothing more'}"
        )
