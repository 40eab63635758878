"""Run folders: trainings that can be interrupted, and files written whole."""

import contextlib
import csv
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfattn.training.batches import ShuffledBatches
from tfattn.training.locks import lock, unlock
from tfattn.training.model_files import BROKEN, check_archive, read_model

if TYPE_CHECKING:  # matplotlib is imported only where something is drawn
    from matplotlib.figure import Figure


# What `write_whole` leaves behind of the files of a training if it is killed.
HALF_WRITTEN = re.compile(
    r"\.\d+\.(config\.json|trained_on\.json|history\.csv|(checkpoint|model)\.keras)"
)
# What the commands read in metrics.json.
KINDS_OF_MEASURES = {
    "system": str,
    "data": str,
    "seed": int,
    "class_names": list | None,
}


class RunFolder(keras.callbacks.Callback):
    """Keeps a training in a folder, so that it can be interrupted and resumed.

    Before the first epoch it writes `trained_on.json`: what the batches are, and the
    backend. After each epoch it writes `history.csv` with a row for each epoch, and
    then `checkpoint.keras` with the state of model and optimizer; after the last one
    `model.keras`, which replaces the checkpoint. Each file is written whole or not at
    all, so an interruption at any time loses at most one epoch:

    ```python
    batches = ShuffledBatches((x_train,), batch_size=128)
    recipe(model).compile(model, num_steps=20 * len(batches))
    folder = RunFolder("runs/mine", batches)
    model.fit(
        batches,
        shuffle=False,
        initial_epoch=folder.restore(model),
        epochs=20,
        callbacks=[folder],  # and others of yours
    )
    ```

    To resume the training, run the same lines again. The remaining epochs have the
    batches and the random numbers that they would have had without the interruption.
    With more epochs than before, a finished training goes on, too.

    What callbacks before this one add to the logs becomes part of the history. Keras's
    `BackupAndRestore` does not fit here: it writes in place.

    Args:
        path: The folder.
        batches: The batches of the training.

    Attributes:
        rows: The rows of `history.csv`, a dictionary for each epoch.

    Raises:
        ValueError: If the folder holds a training on other batches, or on another
            backend, which draws other random numbers; in `fit`, if another process is
            training in the folder, or if a loss is no longer finite: then the folder
            keeps the epochs before.
    """

    def __init__(self, path: str | Path, batches: ShuffledBatches) -> None:
        super().__init__()
        self.path = Path(path)
        self.batches = batches
        self.rows: list[dict[str, Any]] = []
        self._trained_on = {
            **batches.description(),
            "backend": keras.backend.backend(),
        }
        found = self.path / "trained_on.json"
        if found.exists():
            different = differences(read_json(found), self._trained_on)
            if different:
                raise ValueError(
                    f"Expected the batches and the backend of the training in {path}. "
                    f"Different: {different}"
                )

    @property
    def is_finished(self) -> bool:
        """Whether `model.keras` is the newest state: no later checkpoint stands."""
        return self._final_model.exists() and not self._checkpoint.exists()

    def restore(self, model: keras.Model) -> int:
        """Loads the state that the folder holds into a compiled model, if there is one.

        Returns:
            The number of finished epochs, which is the `initial_epoch` of `fit`.

        Raises:
            ValueError: If the state or the history is damaged or of another model.
        """
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        for state in (self._checkpoint, self._final_model):
            if state.exists():
                with _damage_named(state):
                    check_archive(state)
                    model.load_weights(state)
                num_epochs = int(model.optimizer.iterations) // len(self.batches)
                with _damage_named(self._history):
                    # Killed between two files, a training has a row too many.
                    self.rows = _read_rows(self._history)[:num_epochs]
                    if len(self.rows) < num_epochs:
                        raise ValueError(f"{len(self.rows)} of {num_epochs} epochs")
                return num_epochs
        return 0

    def on_train_begin(self, logs: Any = None) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        lock(self.path)
        # Of a process that was killed while it wrote.
        for part in self.path.iterdir():
            if HALF_WRITTEN.fullmatch(part.name):
                part.unlink()
        write_json(self.path / "trained_on.json", self._trained_on)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.monotonic()
        self.batches.set_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        lost = {k: v for k, v in logs.items() if "loss" in k and not np.isfinite(v)}
        if lost:
            raise ValueError(
                f"Expected finite losses. Received in epoch {epoch + 1}: {lost}. "
                f"{self.path} holds the training up to epoch {epoch}. A smaller "
                "learning rate or float32 may help."
            )
        logs["seconds"] = time.monotonic() - self._started
        self.rows.append({"epoch": epoch, **logs})
        write_whole(self._history, lambda path: _write_rows(path, self.rows))
        # Keras writes this format through Python. HDF5, which writes by itself, crashes
        # where a disk is full.
        write_whole(self._checkpoint, self.model.save)

    def on_train_end(self, logs: Any = None) -> None:
        write_whole(self._final_model, self.model.save)
        self._checkpoint.unlink(missing_ok=True)
        unlock(self.path)

    @property
    def _final_model(self):
        return self.path / "model.keras"

    @property
    def _history(self):
        return self.path / "history.csv"

    @property
    def _checkpoint(self):
        return self.path / "checkpoint.keras"


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """What goes wrong in reading a file of a training as one line of its name."""
    try:
        yield
    except (*BROKEN, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"Expected in {path} a training of this model. It is damaged, or of "
            f"another model: {reason}"
        ) from error


def _write_rows(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        # Other callbacks, or a validation every other epoch, give rows other names.
        names = dict.fromkeys(name for row in rows for name in row)
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _read_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: float(value) for name, value in row.items() if value}
            | {"epoch": int(row["epoch"])}
            for row in csv.DictReader(file)
        ]


def load_run(run: Path) -> tuple[keras.Model, dict[str, Any]]:
    """The model and the metrics of a finished run; ValueError if there is none."""
    for name in ("model.keras", "metrics.json"):
        if not (run / name).exists():
            raise ValueError(
                f"Expected a finished run with {name} in {run}. Found none; "
                "`tfattn train` makes one."
            )
    path = run / "metrics.json"
    result = read_json(path)
    for name, kind in KINDS_OF_MEASURES.items():
        if not isinstance(result.get(name), kind):
            raise ValueError(
                f"Expected in {path} the measures of `tfattn train`, with {name}. "
                f"Received: {name}={result.get(name)!r}"
            )
    return read_model(run / "model.keras"), result


def differences(found: dict[str, Any], received: dict[str, Any]) -> str:
    """Words for the entries of two dictionaries that are not alike."""
    return "; ".join(
        f"{name} was {found.get(name)!r}, is {received.get(name)!r}"
        for name in {**found, **received}
        if found.get(name) != received.get(name)
    )


def read_json(path: Path) -> dict[str, Any]:
    """The content of a file that `write_json` wrote; ValueError if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__}")
    except ValueError as error:
        raise ValueError(
            f"Expected a JSON object in {path}. It is damaged: {error}"
        ) from error
    return content


def write_json(path: str | Path, content: Any) -> None:
    """`content` as indented JSON, whole."""
    text = json.dumps(content, indent=2)
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_figure(path: str | Path, figure: "Figure") -> None:
    """A figure of `tfattn.plots` as a picture, whole; PNG if the name does not say."""
    kind = Path(path).suffix[1:] or "png"
    write_whole(path, lambda part: figure.savefig(part, dpi=100, format=kind))


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a temporary file, then gives it its name in one step."""
    path = Path(path)
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
