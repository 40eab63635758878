"""A trial run of all that follows a training, before it begins."""

import contextlib
import dataclasses
import io
import json
import math
import os
import random
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from tfattn.cli.systems.base import System, has_classes
from tfattn.data import Dataset
from tfattn.models.base import ImageModel
from tfattn.training.model_files import read_model

NUM_IMAGES = 16
FOLDER = ".rehearsal"
# For each weight: itself, its gradient and the two moments of Adam.
NUMBERS_PER_WEIGHT = 4


def rehearse(
    system: System, model: ImageModel, dataset: Dataset, run: Path, config: dict
) -> None:
    """Saves, reads, measures and draws a model before its training; keeps nothing.

    What goes wrong at the end of a training goes wrong here, where nothing is lost. All
    is done with the model that was read, so that the other one stays as it is, with its
    compiled functions; so do the generators of random numbers.

    Args:
        system: The kind of model.
        model: The model.
        dataset: Of its images a few are used.
        run: Path of the run's folder.
        config: Dictionary of what the run is asked to do.
    """
    few = _first_images(dataset)
    folder = run / FOLDER
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.mkdir()
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(action="ignore"),
            _same_random_numbers(),
        ):
            model.save(folder / "model.keras")
            model = read_model(folder / "model.keras")
            result = {**config, **system.measure(model, few)}
            json.dumps(result)
            system.in_words(result)
            system.draw(model, few, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_disk(run: Path, model: ImageModel) -> None:
    """ValueError if a run's folder has no room for a training."""
    # Each weight with its two moments, and while one file replaces another.
    needed = 2 * 3 * 4 * model.count_params()
    there = sum(path.stat().st_size for path in run.glob("*.keras"))
    free = shutil.disk_usage(run).free
    if free + there < needed:
        raise ValueError(
            f"Expected {needed / 2**20:.0f} MiB of free space for {run}. "
            f"Received: {free / 2**20:.1f} MiB"
        )


def check_memory(model: ImageModel, batch_size: int) -> None:
    """ValueError if a training takes more memory than this machine has, in any case.

    It takes that of the weights, their gradients, the optimizer's moments, and the
    outputs of the layers with weights, from which gradients are computed. Most of what
    it takes besides is not known here: a training that is not refused may be too large
    all the same, and for the Transformer, whose layers are no network of Keras, only
    the weights count.
    """
    num_bytes = 4 * sum(
        math.prod(weight.shape) * (NUMBERS_PER_WEIGHT if weight.trainable else 1)
        for weight in model.weights
    )
    for network in model._flatten_layers(include_self=False):
        # An average of another network is not trained.
        if not isinstance(network, keras.Model) or not network.trainable_weights:
            continue
        for layer in network.layers:
            size = 2 if layer.compute_dtype.endswith("16") else 4
            for output in keras.tree.flatten(layer.output) if layer.weights else ():
                num_bytes += size * batch_size * math.prod(output.shape[1:])
    if not hasattr(os, "sysconf"):  # on Windows
        return
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if num_bytes > there:
        h, w, c = model.image_shape
        raise ValueError(
            f"Expected a training that fits into {there / 2**30:.1f} GiB of memory. "
            f"Received: one that takes more than {num_bytes / 2**30:.1f} GiB, with "
            f"{batch_size} images of {h}×{w}×{c} in a batch; smaller images may fit"
        )


@contextlib.contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Afterwards, the global generators go on as if nothing had been drawn."""
    state, legacy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(legacy_state)  # noqa: NPY002


def _first_images(dataset):
    """A data set with the first images, and the first of each class."""
    sides = {}
    for side in ("train", "test"):
        x, y = getattr(dataset, f"x_{side}"), getattr(dataset, f"y_{side}")
        chosen = np.arange(min(NUM_IMAGES, len(x)))
        if has_classes(dataset):
            chosen = np.union1d(chosen, np.unique(y, return_index=True)[1])
        sides[f"x_{side}"] = x[chosen]
        sides[f"y_{side}"] = None if y is None else y[chosen]
    return dataclasses.replace(dataset, **sides)
