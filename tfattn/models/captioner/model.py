"""A Transformer that describes images, with an exact likelihood of each text."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import check_integer, check_share, checked_images
from tfattn._typing import Tensor
from tfattn.densities import categorical_log_density
from tfattn.models.base import IMAGES_AT_ONCE
from tfattn.models.captioner.describing import CaptionerDescribing
from tfattn.models.captioner.networks import WordDecoder
from tfattn.models.compiling import compiled
from tfattn.models.exporting import ExportedFunction, tensor_input
from tfattn.models.patch_encoder import PatchEncoder
from tfattn.models.replicas import drawn
from tfattn.models.tokenizer import FIRST_WORD, NO_WORD, WordTokenizer


@keras.saving.register_keras_serializable(package="tfattn")
class ImageCaptioner(CaptionerDescribing):
    """Encoder over the patches of an image, decoder over the words of its text.

    With x an image and w_1 … w_m its text:

    1. context: the outputs of the encoder for the patches of x
    2. logits of word j: the decoder, which sees w_1 … w_{j−1} and attends to the
       context; the value after w_m is the end, unless m = `max_words`
    3. log p(w|x) = Σ_j log p(w_j | w_1 … w_{j−1}, x), exact: the probabilities of all
       texts of 1 to `max_words` words sum to 1

    After `compile(optimizer)`, training is `fit(x, texts)`, with the true words before
    each word as input (teacher forcing). The loss is the mean of −log p(w|x), in nats
    per text. Metrics of `compile` compare the words, one-hot, with their probabilities,
    both (n, max_words, values), see `WordTokenizer`.

    Source: Vinyals et al., *Show and Tell*, arXiv:1411.4555, equations 1 and 2, with
    the Transformer of Vaswani et al., arXiv:1706.03762, section 3, normalized before as
    in `TransformerDecoderLayer`, and the patches of Dosovitskiy et al.,
    arXiv:2010.11929, equation 1. Positions are learned, see `PositionalEncoding`.

    Args:
        vocabulary: The words that a text may hold. Case and punctuation of texts are
            ignored.
        max_words: Largest number of words in a text.
        image_shape: (h, w, c).
        patch_size: (patch_h, patch_w), divides h and w.
        num_layers: Number of layers of the encoder and of the decoder.
        num_heads: Number of heads; divides the width.
        width: Channels of a patch's and of a word's vector.
        dropout: Share of weights and outputs that training drops, see
            `TransformerDecoderLayer`.
        word_noise: Share of the words before that training replaces by random ones,
            so that each word is read from the image, and not guessed from those before
            it; compare word dropout, Bowman et al., arXiv:1511.06349, section 3.1.
        max_shift: Pixels by which training shifts images at most, each way, zeros
            moving in.
        seed: Seed of the random numbers in training.

    Attributes:
        tokenizer: `WordTokenizer` of the texts.

    Call arguments:
        inputs: Images (n, h, w, c) in [0, 1] and words (n, max_words), see
            `WordTokenizer`.

    Output:
        Dictionary: `words` (n, max_words), `logits` (n, max_words, values) and
        `negative_log_likelihood` (n,), in nats.

    Exported functions:
        next_word: Logits (n, max_words, values) of each word from the image and the
            words before it, from images and int32 words (n, max_words).

    Raises:
        ValueError: For an argument outside the ranges above.
    """

    LOSS_TERMS = ("negative_log_likelihood",)

    def __init__(
        self,
        vocabulary: Sequence[str],
        max_words: int,
        image_shape: tuple[int, int, int] = (28, 56, 1),
        patch_size: tuple[int, int] = (4, 4),
        num_layers: int = 2,
        num_heads: int = 4,
        width: int = 64,
        dropout: float = 0.0,
        word_noise: float = 0.0,
        max_shift: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, None, seed, divisor=1, **kwargs)
        self.tokenizer = WordTokenizer(vocabulary, max_words)
        self.num_layers = check_integer("num_layers", num_layers, least=1)
        self.num_heads = check_integer("num_heads", num_heads, least=1)
        self.width = check_integer("width", width, least=1)
        self.dropout = dropout
        check_share("word_noise", word_noise)
        self.word_noise = word_noise
        self.max_shift = check_integer("max_shift", max_shift, least=0)
        sizes = (self.num_layers, self.num_heads, self.width, dropout)
        with self._settings(self.dtype_policy):
            h, w, _ = self.image_shape
            self.augmentation = keras.layers.RandomTranslation(
                min(1.0, self.max_shift / h),
                min(1.0, self.max_shift / w),
                fill_mode="constant",
                interpolation="nearest",
                seed=self.seed,
            )
            self.encoder = PatchEncoder(patch_size, *sizes)
            self.decoder = WordDecoder(
                self.tokenizer.num_values, self.tokenizer.max_words, *sizes
            )
        self.encoder.build((None, *self.image_shape))
        context_shape = (None, int(np.prod(self.encoder.grid)), self.width)
        self.decoder.build((None, self.tokenizer.max_words), context_shape)
        self.trackers = []  # the only term is Keras's own "loss"
        self._compiled_log_density = compiled(self, self._log_density)
        self._compiled_maps = compiled(self, self._maps)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Tensor]:
        if not isinstance(inputs, list | tuple):
            raise ValueError(
                "Expected images and their words, a pair. Received: one tensor"
            )
        x, (words,) = self._split(inputs)
        read = words
        if training and self.max_shift:
            x = self.augmentation(x, training=True)
        if training and self.word_noise:
            read = self._with_noise(words)
        logits = self._logits(x, words, training, read)
        return {
            "words": words,
            "logits": logits,
            "negative_log_likelihood": -categorical_log_density(words, logits),
        }

    def _with_noise(self, words):
        """Words (n, max_words), some replaced by random ones."""
        shape, seed = ops.shape(words), self.seed_generator
        replaced = drawn(keras.random.uniform, shape, seed) < self.word_noise
        num_words = self.tokenizer.num_values - FIRST_WORD
        random = num_words * drawn(keras.random.uniform, shape, seed)
        random = FIRST_WORD + ops.cast(random, "int32")
        replaced = ops.logical_and(replaced, ops.not_equal(words, NO_WORD))
        return ops.where(replaced, random, words)

    def _logits(self, x, words, training: bool | None = False, read=None):
        context = self.encoder(x, training=training)
        return self.decoder(words, context, read=read, training=training)

    def _compared(self, outputs):
        values = self.tokenizer.num_values
        return ops.one_hot(outputs["words"], values), ops.softmax(outputs["logits"])

    def _log_density(self, x, words):
        return categorical_log_density(words, self._logits(x, words))

    def _maps(self, x, words):
        maps = self.decoder.attention_maps(words, self.encoder(x))
        maps = ops.cast(maps, "float32")
        return ops.reshape(maps, (*ops.shape(maps)[:-1], *self.encoder.grid))

    # --- using a trained model ------------------------------------------------

    def log_likelihood(
        self,
        images: ArrayLike,
        texts: Sequence[str] | ArrayLike,
        *,
        batch_size: int = IMAGES_AT_ONCE,
    ) -> np.ndarray:
        """log p(text|image), exact.

        Args:
            images: Images (n, h, w, c) in [0, 1].
            texts: Texts (n).
            batch_size: Images at once.

        Returns:
            NumPy array (n,), nats per text.

        Raises:
            ValueError: For images of another size, or a text that the model cannot
                write.
        """
        images = checked_images(images, self.image_shape)
        words = self.tokenizer.checked(texts, len(images))
        return self._in_batches(self._compiled_log_density, batch_size, images, words)

    def attention_maps(
        self, images: ArrayLike, texts: Sequence[str] | ArrayLike
    ) -> np.ndarray:
        """Which patches each word of a text attends to.

        Args:
            images: Images (n, h, w, c) in [0, 1].
            texts: Texts (n).

        Returns:
            NumPy array (n, layers, heads, max_words, h/patch_h, w/patch_w), float32:
            the map with which each word is predicted; its last two axes sum to 1. The
            map behind the last word of a text belongs to its end, later ones to
            nothing.

        Raises:
            ValueError: As `log_likelihood`.
        """
        images = checked_images(images, self.image_shape)
        words = self.tokenizer.checked(texts, len(images))
        return self._in_batches(self._compiled_maps, IMAGES_AT_ONCE, images, words)

    # --- words as the condition -------------------------------------------------

    def _checked_condition(self, condition, n):
        return self.tokenizer.checked(condition, n)

    def _converted_in_graph(self, y):
        return self.tokenizer.in_graph(y)

    def _encoded(self, condition):
        return ops.cast(condition, "int32")

    def _condition_inputs(self):
        return [tensor_input("words", self.tokenizer.max_words, dtype="int32")]

    def _exported_functions(self):
        images = tensor_input("images", *self.image_shape)
        inputs = [images, *self._condition_inputs()]
        return {
            **super()._exported_functions(),
            "next_word": ExportedFunction(self, self._logits, inputs),
        }

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["num_classes"]
        return {
            **config,
            "vocabulary": self.tokenizer.vocabulary,
            "max_words": self.tokenizer.max_words,
            "patch_size": self.encoder.embedding.patch_size,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "width": self.width,
            "dropout": self.dropout,
            "word_noise": self.word_noise,
            "max_shift": self.max_shift,
        }
