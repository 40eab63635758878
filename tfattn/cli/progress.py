"""Progress bars, of a training and of a measurement."""

import sys
from collections.abc import Callable
from typing import Any

import keras
from tqdm import tqdm


def bar(total: int, words: str, unit: str, initial: int = 0) -> tqdm:
    """A progress bar on the standard output."""
    return tqdm(
        total=total,
        initial=initial,
        desc=words,
        unit=unit,
        # A terminal's line is drawn over and over, a log grows each time.
        mininterval=0.1 if sys.stdout.isatty() else 15,
        file=sys.stdout,
    )


class ProgressBar(keras.callbacks.Callback):
    """One bar over the steps of all epochs, with a line above it for each epoch.

    Args:
        describe: Function from an epoch's logs to words.
    """

    def __init__(self, describe: Callable[[dict[str, float]], str]) -> None:
        super().__init__()
        self.describe = describe

    def on_train_begin(self, logs: Any = None) -> None:
        total = self.params["epochs"] * self.params["steps"]
        self.bar = bar(total, "training", "step", int(self.model.optimizer.iterations))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.bar.write(
            f"epoch {epoch + 1}/{self.params['epochs']}: {self.describe(logs)}, "
            f"{logs['seconds']:.0f} s",
            file=sys.stdout,
        )

    def on_train_end(self, logs: Any = None) -> None:
        self.bar.close()
