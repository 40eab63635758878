"""A model from its file, of which only numbers and words are read."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from tfattn.training.recipes import RECIPES

CLASSES = {model_class.__name__: model_class for model_class in RECIPES}
DTYPES = ("float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
# Far above what the arguments of a model need.
MOST_BYTES_OF_ARGUMENTS = 2**20
LARGEST_NUMBER = 2**31 - 1
# What Python and HDF5 raise for content of another form.
BROKEN = (
    *(AttributeError, IndexError, KeyError, OSError, TypeError),
    zipfile.BadZipFile,
)


def read_model(path: Path) -> keras.Model:
    """One of our models from its `.keras` file, without optimizer or loss.

    Keras would make the objects that the file names. Here the file chooses one of our
    classes, whose constructor checks the arguments, and gives the arrays of its
    weights: nothing else in the file is looked at, so it may come from a stranger.

    Args:
        path: A file that `save` of a model has written.

    Returns:
        The model.

    Raises:
        ValueError: For a file that is no such file, is damaged, or holds anything else
            than one of our models and plain arguments.
    """
    name, arguments = _description(path)
    if name not in CLASSES:
        raise ValueError(
            f"Expected in {path} a model of {sorted(CLASSES)}. Received: {name!r}"
        )
    model_class = CLASSES[name]
    try:
        model = model_class.from_config(_plain(arguments, path))
        check_archive(path)
        model.load_weights(path)
    except BROKEN as error:
        raise ValueError(
            f"{path} is damaged. Expected a {name}. Received: {error}"
        ) from error
    return model


def check_archive(path: Path) -> None:
    """BadZipFile if a `.keras` file does not hold what was written into it.

    Keras reads only parts of it, and so does not see that others are damaged.
    """
    with zipfile.ZipFile(path) as file:
        damaged = file.testzip()
    if damaged:
        raise zipfile.BadZipFile(f"{damaged} has another checksum")


def _description(path):
    """The names of the class and of its arguments, with their values."""
    try:
        with zipfile.ZipFile(path) as file:
            size = file.getinfo("config.json").file_size
            if size > MOST_BYTES_OF_ARGUMENTS:
                raise ValueError(f"its arguments have {size} bytes")
            found = json.loads(file.read("config.json"))
        return str(found["class_name"]), dict(found["config"])
    except (*BROKEN, ValueError, RecursionError) as error:
        raise ValueError(
            f"Expected in {path} a model that tfattn has saved. Received: {error}"
        ) from error


def _plain(arguments: dict[str, Any], path: Path) -> dict[str, Any]:
    """The arguments if there is no object among them; Keras's names for two of ours.

    A dtype policy becomes its name, and a tuple is a dictionary in the file.
    """
    plain = {}
    for name, value in arguments.items():
        if isinstance(value, dict):
            if name == "dtype":
                value = value.get("config", {}).get("name")
            elif value.get("class_name") == "__tuple__":
                value = value.get("items")
        if (name == "dtype" and value not in DTYPES) or not _is_plain(value):
            raise ValueError(
                f"Expected plain arguments in {path}. Received: {name}={value!r}"
            )
        plain[name] = value
    return plain


def _is_plain(value):
    if isinstance(value, int | float):
        return abs(value) <= LARGEST_NUMBER
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str)
