"""Changing the attention of a trained model."""

from typing import NamedTuple

import numpy as np


class AttentionControl(NamedTuple):
    """Changes to a trained attention layer while an image is generated.

    Attributes:
        sharpness: Factor on the attention scores; 0 replaces the map by a uniform
            one, large values by a hard choice.
        strength: Factor on γ; 0 switches attention off.
        key_mask: Boolean array, `True` where a key may be attended to; `None` allows
            every place. Its shape is that of the decoder's keys: (h/4, w/4) for
            attention="self", (h/2, w/2) for attention="module", with (h, w) the
            image's size.
    """

    sharpness: float = 1.0
    strength: float = 1.0
    key_mask: np.ndarray | None = None


NO_CONTROL = AttentionControl()
