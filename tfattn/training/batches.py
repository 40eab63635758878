"""The batches of a training, in an order that a later process can repeat."""

import hashlib
from typing import Any

import keras
import numpy as np

from tfattn._checks import check_integer


class ShuffledBatches(keras.utils.PyDataset):
    """Batches of arrays, in an order that depends on a seed and the epoch alone.

    `RunFolder` says which epoch it is. Call `fit` with `shuffle=False`: otherwise Keras
    shuffles the batches once more, by a generator whose state is in no file.

    Args:
        arrays: Tuple (x,) or (x, y) of arrays (n, ...), as a model's `fit` takes them.
        batch_size: Number of examples in a batch, reduced to those of an epoch if it
            is larger. An incomplete last batch is left out.
        seed: Seed of the order.
        repeats: How often an epoch shows each example, for small sets.
    """

    def __init__(
        self, arrays: tuple, batch_size: int, seed: int = 0, repeats: int = 1
    ) -> None:
        super().__init__()
        self.arrays = arrays
        self.repeats = check_integer("repeats", repeats, least=1)
        self.num_examples = repeats * len(arrays[0])
        self.batch_size = min(batch_size, self.num_examples)
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Shuffles the examples for an epoch, counted from 0."""
        rng = np.random.default_rng((self.seed, epoch))
        self.order = rng.permutation(self.num_examples) % len(self.arrays[0])

    def __len__(self) -> int:
        return self.num_examples // self.batch_size

    def __getitem__(self, index: int) -> tuple:
        start = index * self.batch_size
        chosen = self.order[start : start + self.batch_size]
        return tuple(array[chosen] for array in self.arrays)

    def description(self) -> dict[str, Any]:
        """What another training must have alike to be the same: counts and checksum."""
        digest = hashlib.sha256()
        for array in map(np.asarray, self.arrays):
            texts = array.dtype.kind in "OUS"
            content = repr(array.tolist()).encode() if texts else array.tobytes()
            digest.update(f"{array.shape} {array.dtype.name} ".encode() + content)
        return {
            "examples": len(self.arrays[0]),
            "repeats": self.repeats,
            "batch_size": self.batch_size,
            "steps_per_epoch": len(self),
            "seed": self.seed,
            "sha256_of_arrays": digest.hexdigest(),
        }
