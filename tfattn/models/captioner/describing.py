"""How an image captioner writes texts: the likeliest one, by a beam, or by chance."""

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
from tfattn.models.base import IMAGES_AT_ONCE
from tfattn.models.compiling import compiled
from tfattn.models.generative import GenerativeModel
from tfattn.models.tokenizer import FIRST_WORD, NO_WORD


class Describing(GenerativeModel):
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
            temperature: 0 for likely texts; above 0 each word is drawn, its logits
                divided by the temperature.
            num_samples: Number of texts of each image. With temperature 0 these are
                the likeliest ones that the beam finds, the likeliest first.
            beam_width: Number of beginnings of a text that are kept after each word,
                with temperature 0. With 1 each word is the likeliest (greedy search).
            seed: Integer; the same seed draws the same texts.
            batch_size: Images at once.

        Returns:
            NumPy array (n, num_samples) of strings, in the words of the vocabulary and
            without punctuation.

        Raises:
            ValueError: For images of another size, a temperature below 0, a beam
                beside a temperature, more texts than the beam holds, or a beam for more
                texts than there are.
        """
        images = checked_images(images, self.image_shape)
        num_samples = check_integer("num_samples", num_samples, least=1)
        beam_width = check_integer("beam_width", beam_width, least=1)
        rng = np.random.default_rng(checked_seed(seed))
        if is_number(temperature) and temperature == 0:
            self._check_beam(beam_width, num_samples)
            words = self._in_batches(
                lambda x: self._likeliest(x, beam_width)[:, :num_samples],
                batch_size,
                images,
            )
        else:
            check_above_0("temperature", temperature)
            if beam_width != 1:
                raise ValueError(
                    "A beam looks for the likeliest texts. Expected beam_width=1 with "
                    f"a temperature above 0. Received: beam_width={beam_width}"
                )
            shape = (len(images), num_samples, self.tokenizer.max_words)
            words = self._in_batches(
                lambda x, uniform: self._drawn(x, uniform, temperature),
                batch_size,
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
        num_words = self.tokenizer.num_values - FIRST_WORD
        num_texts = sum(num_words ** (i + 1) for i in range(self.tokenizer.max_words))
        if beam_width > num_texts:
            raise ValueError(
                f"The vocabulary makes {num_texts} texts. Expected a beam_width of at "
                f"most that. Received: beam_width={beam_width}"
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

    def _drawn(self, images, uniform, temperature):
        """Words like the uniform numbers in [0, 1) (n, num_samples, max_words)."""
        n, num_samples, length = uniform.shape
        uniform = ops.convert_to_numpy(uniform)
        context = ops.repeat(self._compiled_encoder(images), num_samples, axis=0)
        words = np.full((n, num_samples, length), NO_WORD, "int32")
        for step in range(length):
            log_p = self._log_probabilities(words, context, step) / temperature
            p = np.exp(log_p - log_p.max(axis=-1, keepdims=True)).cumsum(axis=-1)
            threshold = p[..., -1:] * uniform[:, :, step, None]
            # As many values as end before the threshold come before the drawn one.
            words[:, :, step] = np.sum(p <= threshold, axis=-1)
        return words

    def _log_probabilities(self, words, context, step):
        """Of each value at a step, given the words before it: (n, k, values)."""
        n, k, length = words.shape
        log_p = self._compiled_decoder(
            ops.convert_to_tensor(words.reshape(n * k, length)), context
        )
        log_p = ops.convert_to_numpy(log_p)[:, step].astype("float64")
        return log_p.reshape(n, k, -1)
