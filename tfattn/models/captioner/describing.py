"""How an image captioner writes texts: by greedy or beam search, or by sampling."""

import functools

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import (
    check_above_0,
    check_integer,
    checked_images,
    checked_seed,
    is_number,
)
from tfattn.densities import IMPOSSIBLE
from tfattn.models.base import IMAGES_AT_ONCE
from tfattn.models.compiling import compiled
from tfattn.models.generative import GenerativeModel
from tfattn.models.tokenizer import NO_WORD


class CaptionerDescribing(GenerativeModel):
    """The part of `ImageCaptioner` that writes texts."""

    @functools.cached_property
    def _compiled_encoder(self):
        return compiled(self, self.encoder)

    @functools.cached_property
    def _compiled_decoder(self):
        return compiled(
            self, lambda words, context: ops.log_softmax(self.decoder(words, context))
        )

    def describe(
        self,
        images: ArrayLike,
        *,
        temperature: float = 0.0,
        num_samples: int = 1,
        beam_width: int = 1,
        seed: int | None = None,
        batch_size: int = IMAGES_AT_ONCE,
    ) -> np.ndarray:
        """Writes texts for images, word by word.

        Args:
            images: Images (n, h, w, c) in [0, 1].
            temperature: 0 for likely texts; above 0 each word is sampled, the logits
                divided by the temperature.
            num_samples: Number of texts of each image. With temperature 0 these are
                the likeliest ones that the search finds, the likeliest first.
            beam_width: Number of partial texts (hypotheses) kept after each word, with
                temperature 0. With 1 each word is the likeliest one (greedy search).
            seed: Integer; the same seed gives the same texts.
            batch_size: Texts at once, at least those of one image.

        Returns:
            NumPy array (n, num_samples) of strings, in the words of the vocabulary and
            without punctuation.

        Raises:
            ValueError: For images of another size, `temperature` below 0, `beam_width`
                above 1 with `temperature` above 0, or above the number of possible
                texts, or `num_samples` above `beam_width` with temperature 0.
        """
        images = checked_images(images, self.image_shape)
        num_samples = check_integer("num_samples", num_samples, least=1)
        beam_width = check_integer("beam_width", beam_width, least=1)
        batch_size = check_integer("batch_size", batch_size, least=1)
        rng = np.random.default_rng(checked_seed(seed))
        images_at_once = max(1, batch_size // max(beam_width, num_samples))
        if is_number(temperature) and temperature == 0:
            self._check_beam(beam_width, num_samples)
            words = self._in_batches(
                lambda x: self._likeliest(x, beam_width)[:, :num_samples],
                images_at_once,
                images,
            )
        else:
            check_above_0("temperature", temperature)
            if beam_width != 1:
                raise ValueError(
                    "A beam search looks for the likeliest texts. Expected "
                    "beam_width=1 with a temperature above 0. Received: "
                    f"beam_width={beam_width}"
                )
            shape = (len(images), num_samples, self.tokenizer.max_words)
            words = self._in_batches(
                lambda x, uniform: self._sampled(x, uniform, temperature),
                images_at_once,
                images,
                rng.random(shape, "float32"),
            )
        texts = self.tokenizer.texts(words.reshape(-1, self.tokenizer.max_words))
        return texts.reshape(len(images), num_samples)

    def _check_beam(self, beam_width, num_samples):
        if num_samples > beam_width:
            raise ValueError(
                "Expected at most beam_width texts of an image with temperature 0. "
                f"Received: num_samples={num_samples}, beam_width={beam_width}"
            )
        if beam_width > self.tokenizer.num_texts:
            raise ValueError(
                f"Expected a beam_width of at most {self.tokenizer.num_texts}, the "
                f"number of possible texts. Received: beam_width={beam_width}"
            )

    def _likeliest(self, images, beam_width):
        """Words (n, beam_width, max_words), the likeliest text first."""
        n, length = len(images), self.tokenizer.max_words
        context = ops.repeat(self._compiled_encoder(images), beam_width, axis=0)
        words = np.full((n, beam_width, length), NO_WORD, "int32")
        # All beginnings are alike: one of them counts.
        scores = np.full((n, beam_width), -np.inf)
        scores[:, 0] = 0.0
        for step in range(length):
            log_p = self._log_probabilities(words, context, step)
            candidates = (scores[:, :, None] + log_p).reshape(n, -1)
            # A stable order, so that equally likely texts come in the same one always.
            best = np.argsort(-candidates, axis=1, kind="stable")[:, :beam_width]
            scores = np.take_along_axis(candidates, best, axis=1)
            beginning, value = np.divmod(best, log_p.shape[-1])
            words = np.take_along_axis(words, beginning[:, :, None], axis=1)
            words[:, :, step] = value
        return words

    def _sampled(self, images, uniform, temperature):
        """Words (n, num_samples, max_words) by inverse transform sampling, from as many
        uniform numbers in [0, 1)."""
        n, num_samples, length = uniform.shape
        uniform = ops.convert_to_numpy(uniform)
        context = ops.repeat(self._compiled_encoder(images), num_samples, axis=0)
        words = np.full((n, num_samples, length), NO_WORD, "int32")
        for step in range(length):
            log_p = self._log_probabilities(words, context, step)
            p = np.exp((log_p - log_p.max(axis=-1, keepdims=True)) / temperature)
            p = p.cumsum(axis=-1)
            threshold = p[..., -1:] * uniform[:, :, step, None]
            # As many values as end before the threshold come before the sampled one.
            words[:, :, step] = np.sum(p <= threshold, axis=-1)
        return words

    def _log_probabilities(self, words, context, step):
        """log p of each value of the word at a step, given those before it.

        Args:
            words: Array (n, k, max_words).
            context: Tensor (n·k, patches, width).
            step: Index of the word.

        Returns:
            Float64 array (n, k, values), −inf for what cannot follow.
        """
        n, k, length = words.shape
        log_p = self._compiled_decoder(
            ops.convert_to_tensor(words.reshape(n * k, length)), context
        )
        log_p = ops.convert_to_numpy(log_p[:, step]).astype("float64")
        return np.where(log_p < 0.5 * IMPOSSIBLE, -np.inf, log_p).reshape(n, k, -1)
