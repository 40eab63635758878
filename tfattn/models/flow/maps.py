"""Where the network of a flow attends to."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import check_fraction
from tfattn.models.attention import attention_map, check_has_map, gammas
from tfattn.models.flow.dit import DEPTH, block_attention_map
from tfattn.models.flow.sampling import FlowSampling


class FlowMaps(FlowSampling):
    """The part of `AttentionFlow` that shows where positions attend to.

    Attributes:
        network: `"unet"` or `"dit"`.
        attention: The kind of attention.
        vocabulary, max_words: The words of a text and their largest number, or `None`.
    """

    network: str
    attention: str | None
    vocabulary: tuple[str, ...] | None
    max_words: int | None

    def attention_maps(
        self, x: ArrayLike, t: float, condition: Sequence[str] | ArrayLike | None = None
    ) -> np.ndarray:
        """The network's attention map for images on their path.

        Args:
            x: States (n, h, w, c) at time t, standardized, such as noise.
            t: The time in [0, 1].
            condition: Classes (n,) or texts (n), for a model with a condition.

        Returns:
            NumPy array (n, h/4, w/4, h/4, w/4), whose last two axes sum to 1; of a
            Transformer that of its middle layer, the mean over the heads.

        Raises:
            ValueError: If the model's attention is not `"self"`, or t is not in [0, 1].
        """
        check_has_map(self.attention, ["self"])
        inputs = self._inputs_at(x, t, condition)
        if self.network == "dit":
            return block_attention_map(self.average_network, DEPTH // 2, inputs)
        return attention_map(self.average_network, "attention", inputs)

    def word_attention_maps(
        self, x: ArrayLike, t: float, condition: Sequence[str]
    ) -> np.ndarray:
        """Which words the positions of images on their path attend to.

        Args:
            x: States (n, h, w, c) at time t, standardized, such as noise.
            t: The time in [0, 1].
            condition: Texts (n).

        Returns:
            NumPy array (n, heads, h/4, w/4, max_words), words in the order of the text,
            and 0 where it has none. What the last axis lacks to a sum of 1 goes to the
            null vector, which stands for no word.

        Raises:
            ValueError: If the model has no condition by texts, or t is not in [0, 1].
        """
        if self.vocabulary is None:
            raise ValueError(
                "Maps of words exist for a model with a vocabulary. Received: a model "
                "with vocabulary=None"
            )
        inputs = self._inputs_at(x, t, condition)
        attention = self.average_network.get_layer("word_attention")
        query, words, mask = keras.Model(self.average_network.inputs, attention.input)(
            inputs
        )
        _, maps = attention(query, words, value_mask=mask, return_attention_scores=True)
        h, w, _ = self.image_shape
        maps = ops.convert_to_numpy(maps)[..., 1:]
        return maps.reshape(*maps.shape[:2], h // 4, w // 4, self.max_words)

    def _inputs_at(self, x, t, condition):
        """The network's inputs for states that are all at one time."""
        x = self._checked_noise(x)
        check_fraction("t", t)
        encoded = self._condition(condition, len(x))
        return self._network_inputs(ops.convert_to_tensor(x), float(t), encoded)

    def gammas(self) -> dict[str, float]:
        """γ of the network's attention layer, if it has one, by the network's name."""
        if self.network == "dit":
            return {}
        return gammas({self.average_network: "attention"})
