"""Early stopping: a tenth of the training images is held out and says when to stop."""

import dataclasses
import hashlib
import sys
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from tfattn.data import Dataset
from tfattn.training import RunFolder

# Of fewer images a tenth says too little.
LEAST_IMAGES = 20


def hold_out(dataset: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """A data set without a tenth of its training images, and one with this tenth.

    Which images are held out depends on their pixels and the seed: copies of an image
    are all held out, or none is.

    Raises:
        ValueError: If there are too few training images.
    """
    n = len(dataset.x_train)
    digests = [
        hashlib.sha256(f"{seed} ".encode() + image.tobytes()).digest()
        for image in dataset.x_train
    ]
    order = sorted(range(n), key=digests.__getitem__)
    size = round(0.1 * n)
    while 0 < size < n and digests[order[size]] == digests[order[size - 1]]:
        size += 1
    if n < LEAST_IMAGES or size == n:
        raise ValueError(
            f"Expected at least {LEAST_IMAGES} training images, not all alike, for "
            f"--patience, which holds out a tenth of them. Received: {n}"
        )
    rest, held_out = (
        dataclasses.replace(
            dataset,
            x_train=dataset.x_train[rows],
            y_train=None if dataset.y_train is None else dataset.y_train[rows],
        )
        for rows in (sorted(order[size:]), sorted(order[:size]))
    )
    return rest, held_out


def is_over(rows: list[dict[str, Any]], patience: int | None) -> bool:
    """Whether the loss of held-out images has not fallen for `patience` epochs."""
    if patience is None or not rows:
        return False
    losses = [row["val_loss"] for row in rows]
    return len(losses) - 1 - int(np.argmin(losses)) >= patience


class EarlyStopping(keras.callbacks.Callback):
    """Ends a training by the history of its folder.

    Keras's own callback counts the epochs anew when a training is resumed.

    Args:
        folder: The folder of the training.
        patience: Number of epochs without a smaller loss of the held-out images.
    """

    def __init__(self, folder: RunFolder, patience: int) -> None:
        super().__init__()
        self.folder = folder
        self.patience = patience

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        losses = [row["val_loss"] for row in self.folder.rows]
        best = int(np.argmin(losses))
        words = (
            f"held-out images: loss {losses[-1]:.4f}, smallest {losses[best]:.4f} in "
            f"epoch {best + 1}"
        )
        if is_over(self.folder.rows, self.patience):
            words += "; stopped"
            self.model.stop_training = True
        tqdm.write(words, file=sys.stdout)  # above the progress bar
