"""The run folder: files written whole, and a training that goes on where it was."""

import csv
import json
import os
import sys
import time
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm


def open_run(run, config, resume):
    """Makes a run folder, or checks that it is the one to go on with.

    Args:
        run: Path of the folder.
        config: Dictionary of what the run was asked to do.
        resume: Whether the folder is expected to hold a run with this `config`.

    Raises:
        ValueError: If it does not, or if it does without `resume`.
    """
    path = run / "config.json"
    if not path.exists():
        if resume:
            raise ValueError(f"Expected a run to resume in {run}. Found none.")
        run.mkdir(parents=True, exist_ok=True)
        write_json(path, config)
        return
    if not resume:
        raise ValueError(
            f"{run} already holds a run. Expected --resume to go on with it, or "
            "another --out."
        )
    found = json.loads(path.read_text())
    if found != config:
        raise ValueError(
            f"Expected the arguments that {run} was started with: {found}. "
            f"Received: {config}"
        )


def fit(model, system, arrays, run, epochs, seed):
    """Trains to the last epoch, from the last one that the run folder holds.

    Args:
        model: The model, with the parts of its optimiser made.
        system: Module of `tfattn.cli.systems`.
        arrays: Arguments (x,) or (x, y) of the model's `fit`, where x may be a tuple.
        run: Path of the run folder.
        epochs: Number of epochs in all.
        seed: Seed of the order of the images.

    Returns:
        The rows of history.csv, one dictionary an epoch.
    """
    n = len(keras.tree.flatten(arrays)[0])
    batch_size = min(system.BATCH_SIZE, n)
    steps = n // batch_size
    system.compile_model(model, epochs * steps)
    history = run / "history.csv"
    if (run / "model.keras").exists():
        print("training had finished", flush=True)
        model.load_weights(run / "model.keras")
        return _read_rows(history)
    # Keras's BackupAndRestore is no use here: it loads once the first batches are on
    # their way, and writes in place.
    checkpoint = run / "checkpoint.weights.h5"
    if checkpoint.exists():
        model.load_weights(checkpoint)
    first_epoch = int(model.optimizer.iterations) // steps
    rows = []
    if first_epoch:
        print(f"going on after epoch {first_epoch}", flush=True)
        # Without what a killed training wrote after the last epoch that was saved.
        rows = _read_rows(history)[:first_epoch]
    with tqdm(
        total=epochs * steps,
        initial=first_epoch * steps,
        desc="training",
        unit="step",
        # A terminal's line is drawn again and again, a log grows with each.
        mininterval=0.1 if sys.stdout.isatty() else 15,
        file=sys.stdout,
    ) as bar:
        for epoch in range(first_epoch, epochs):
            started = time.monotonic()
            # The order depends on seed and epoch alone, so that a training that goes
            # on sees the batches that it would have seen without an interruption.
            order = np.random.default_rng((seed, epoch)).permutation(n)
            order = order[: steps * batch_size]
            logs = model.fit(
                *keras.tree.map_structure(lambda a, order=order: a[order], arrays),
                batch_size=batch_size,
                shuffle=False,
                initial_epoch=epoch,
                epochs=epoch + 1,
                callbacks=[_Progress(bar)],
                verbose=0,
            ).history
            row = {"epoch": epoch}
            row |= {name: values[-1] for name, values in logs.items()}
            row |= system.epoch_measurements(model)
            row["seconds"] = time.monotonic() - started
            rows.append(row)
            write_whole(history, lambda path: _write_rows(path, rows))
            write_whole(checkpoint, model.save_weights)
            system.draw_epoch(model, run, epoch + 1)
            bar.write(
                f"epoch {epoch + 1}/{epochs}: {system.describe(row)}, "
                f"{row['seconds']:.0f} s",
                file=sys.stdout,
            )
    return rows


class _Progress(keras.callbacks.Callback):
    """Moves a progress bar by one after each batch."""

    def __init__(self, bar):
        super().__init__()
        self.bar = bar

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()


def _write_rows(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _read_rows(path):
    with path.open(newline="") as file:
        return [
            {name: float(value) for name, value in row.items()}
            | {"epoch": int(row["epoch"])}
            for row in csv.DictReader(file)
        ]


def load_run(run):
    """The model and the metrics of a finished run; ValueError if there is none."""
    for name in ("model.keras", "metrics.json"):
        if not (run / name).exists():
            raise ValueError(
                f"Expected a finished run with {name} in {run}. Found none; "
                "`tfattn train` makes one."
            )
    model = keras.saving.load_model(run / "model.keras")
    return model, json.loads((run / "metrics.json").read_text())


def write_json(path, content):
    """`content` as indented JSON, whole."""
    write_whole(path, lambda part: part.write_text(json.dumps(content, indent=2)))


def write_figure(path, figure):
    """A figure of `tfattn.plots` as a picture, whole."""
    write_whole(path, lambda part: figure.savefig(part, dpi=100))


def write_whole(path, write):
    """Lets `write` fill a temporary file, then gives it its name in one step."""
    path = Path(path)
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
