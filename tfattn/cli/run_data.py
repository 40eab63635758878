"""The data of a run: what the command is asked for, and what a run's files keep."""

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

from tfattn import data
from tfattn.cli.options import IMAGE_SIZE, Options
from tfattn.training import ShuffledBatches
from tfattn.training.runs import differences, read_json

DATA_OPTIONS = ("data", "image_size", "channels", "labels")


def described_data(
    system: Options, arguments: argparse.Namespace, run: Path
) -> dict[str, Any]:
    """The data that a run is asked for, as its files keep it.

    Raises:
        ValueError: If it is neither a data set that the system takes nor a folder, if
            the options of a folder stand beside the name of a data set, or if the run
            would be written into the folder.
    """
    found = {name: getattr(arguments, name, None) for name in DATA_OPTIONS}
    or_folder = "a folder of pictures or " * system.takes_folders
    if system.takes_folders and arguments.data not in data.NAMES:
        folder = Path(arguments.data).expanduser()
        if not arguments.data or not folder.is_dir():
            raise ValueError(
                f"Expected --data to be a folder of pictures or one of {system.data}. "
                f"Received: {arguments.data!r}"
            )
        if arguments.labels and not system.takes_labels:
            raise ValueError(
                "This system has no use for classes. Expected no --labels. Received: "
                f"{arguments.labels}"
            )
        if arguments.labels and getattr(arguments, "condition", "class") == "none":
            raise ValueError(
                "With --condition none there is no use for classes. Expected "
                f"--condition class, or no --labels. Received: {arguments.labels}"
            )
        if run.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"Expected --out outside of {folder}, whose pictures would otherwise "
                f"be joined by those of the run. Received: {run}"
            )
        return {
            "data": str(folder.resolve()),
            "image_size": _or_default(arguments.image_size, IMAGE_SIZE),
            "channels": _or_default(arguments.channels, 3),
            "labels": arguments.labels,
        }
    if arguments.data not in system.data:
        raise ValueError(
            f"Expected --data to be {or_folder}one of {system.data}, the data sets of "
            f"this system. Received: {arguments.data}"
        )
    given = [name for name in DATA_OPTIONS[1:] if found[name] is not None]
    if given:
        raise ValueError(
            f"--image-size, --channels and --labels are for a folder of pictures. "
            f"Received: {', '.join(given)} with --data {arguments.data}"
        )
    return found


def _or_default(value, default):
    return default if value is None else value


def load_data(config: dict[str, Any]) -> data.Dataset:
    """The data set of a run, from what its files keep."""
    if config["data"] in data.NAMES:
        return data.load(config["data"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", data.PictureWarning)
        dataset = data.from_folder(
            config["data"],
            config["image_size"],
            channels=config["channels"],
            labels=config["labels"],
        )
    for warning in caught:
        print(warning.message, file=sys.stderr)
    return dataset


def check_unchanged(run: Path, batches: ShuffledBatches) -> None:
    """ValueError if a folder no longer gives the images that a run was trained on."""
    found, now = read_json(run / "trained_on.json"), batches.description()
    different = differences({name: found.get(name) for name in now}, now)
    if different:
        raise ValueError(
            f"Expected the pictures that {run} was trained on, so that none of them is "
            f"measured with. Different: {different}"
        )
