"""The progress bar of a training."""

import sys
from collections.abc import Callable
from typing import Any

import keras
from tqdm import tqdm


class ProgressBar(keras.callbacks.Callback):
    """One bar over the steps of all epochs, with a line above it for each epoch.

    Args:
        describe: Function from an epoch's logs to words.
    """

    def __init__(self, describe: Callable[[dict[str, float]], str]) -> None:
        super().__init__()
        self.describe = describe

    def on_train_begin(self, logs: Any = None) -> None:
        self.bar = tqdm(
            total=self.params["epochs"] * self.params["steps"],
            initial=int(self.model.optimizer.iterations),
            desc="training",
            unit="step",
            # A terminal's line is drawn over and over, a log grows each time.
            mininterval=0.1 if sys.stdout.isatty() else 15,
            file=sys.stdout,
        )

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
