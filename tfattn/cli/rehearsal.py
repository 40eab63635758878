"""What would stop a training or lose it at its end, found out before it begins."""

import contextlib
import dataclasses
import io
import json
import math
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfattn.cli.systems.base import System, has_classes
from tfattn.data import Dataset
from tfattn.models.base import ImageModel

NUM_IMAGES = 16
# For each weight: itself, its gradient and the two moments of Adam.
NUMBERS_PER_WEIGHT = 4
GIB = 2**30


def rehearse(
    system: System, model: ImageModel, dataset: Dataset, config: dict[str, Any]
) -> int:
    """Saves, measures and draws a model that is not trained yet, and keeps nothing.

    What goes wrong at the end of a training goes wrong here, where nothing is lost.

    Args:
        system: The kind of model.
        model: The model; its weights stay as they are.
        dataset: Of its images a few are used.
        config: Dictionary of what the run is asked to do.

    Returns:
        The bytes that the model's file takes without an optimizer.
    """
    few = _first_images(dataset)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(action="ignore"),
    ):
        path = Path(folder)
        model.save(path / "model.keras")
        result = {**config, **system.measure(model, few)}
        json.dumps(result)
        system.in_words(result)
        system.draw(model, few, path)
        return (path / "model.keras").stat().st_size


def check_disk(run: Path, num_bytes: int) -> None:
    """ValueError if a run's folder has no room for a training.

    Args:
        run: Path of the folder.
        num_bytes: Bytes of the model's file without an optimizer.
    """
    # With two moments of each weight, and while one file replaces another.
    needed, free = 2 * 3 * num_bytes, shutil.disk_usage(run).free
    if free < needed:
        raise ValueError(
            f"Expected {needed / GIB:.2f} GiB of free space for {run}. "
            f"Received: {free / GIB:.2f} GiB"
        )


def check_memory(model: ImageModel, batch_size: int) -> None:
    """ValueError if a training is sure to take more memory than this machine has.

    It takes that of the weights, their gradients, the optimizer's moments and the
    outputs of all layers of the model's networks. What is computed within the layers
    comes on top, so that a training that is not refused may be too large all the same.
    """
    numbers = sum(
        math.prod(weight.shape) * (NUMBERS_PER_WEIGHT if weight.trainable else 1)
        for weight in model.weights
    )
    for network in model._flatten_layers(include_self=False):
        # An average of another network is not trained.
        if isinstance(network, keras.Model) and network.trainable_weights:
            outputs = keras.tree.flatten([layer.output for layer in network.layers])
            numbers += sum(batch_size * math.prod(o.shape[1:]) for o in outputs)
    if not hasattr(os, "sysconf"):  # on Windows
        return
    needed = 4 * numbers
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise ValueError(
            f"Expected a training that fits into memory, {there / GIB:.1f} GiB. "
            f"Received: one that takes more than {needed / GIB:.1f} GiB, in batches of "
            f"{batch_size} images of {model.image_shape} numbers; smaller images may "
            "fit"
        )


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
