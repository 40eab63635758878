"""What every data set is: images and labels for training and for testing."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one data set.

    Attributes:
        name: The set these arrays really are, which after a fallback is not the one
            asked for; of a folder its path.
        source: Where the arrays came from, in words.
        x_train, x_test: Images, float32 in [0, 1], shape (n, h, w, c).
        y_train, y_test: Labels, int64, shape (n,), or `None` where there are none; of
            avatars their attributes (n, 13), see `tfattn.data.avatars`.
        class_names: Names of the classes, where a folder gives them.
    """

    name: str
    source: str
    x_train: np.ndarray = field(repr=False)
    y_train: np.ndarray | None = field(repr=False)
    x_test: np.ndarray = field(repr=False)
    y_test: np.ndarray | None = field(repr=False)
    class_names: tuple[str, ...] | None = field(default=None, repr=False)
