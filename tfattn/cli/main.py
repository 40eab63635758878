"""The command `tfattn`: train and measure models, generate and complete images."""

import argparse
import importlib
import io
import os
import platform
import shlex
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfattn
from tfattn import data, plots
from tfattn._checks import check_integer
from tfattn.cli.systems import SYSTEMS
from tfattn.cli.systems.base import System
from tfattn.data import masks, pictures
from tfattn.models import CompletionVAE, ImageClassifier, load_pretrained
from tfattn.training import ShuffledBatches
from tfattn.training.runs import (
    RunFolder,
    differences,
    load_run,
    read_json,
    write_figure,
    write_json,
    write_whole,
)

DATA_OPTIONS = ("data", "image_size", "channels", "labels")
# Of a folder's pictures, by default.
IMAGE_SIZE = 32


def train(arguments: argparse.Namespace) -> None:
    """`tfattn train SYSTEM`: from a data set's name to a finished run folder."""
    system = SYSTEMS[arguments.system]
    check_integer("--epochs", arguments.epochs, 1)
    check_integer("--seed", arguments.seed, 0)
    name = Path(arguments.data).resolve().name
    run = arguments.out or Path("runs") / f"{arguments.system}_{name}"
    not_config = ("action", "out", "resume")
    config = {k: v for k, v in vars(arguments).items() if k not in not_config}
    config |= described_data(system, arguments, run)
    config["versions"] = _versions()
    check_run(run, config, arguments.resume)
    dataset = load_data(config)
    if len(dataset.x_test) < 2:
        raise ValueError(
            "Expected at least four different pictures, to train on and to measure "
            f"with. Received: {dataset.source}"
        )
    keras.utils.set_random_seed(arguments.seed)
    not_options = ("system", "epochs", "versions", *DATA_OPTIONS)
    options = {k: v for k, v in config.items() if k not in not_options}
    model = system.build(dataset, **options)
    folder = RunFolder(run, system.batches(model, dataset, arguments.seed))
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / "config.json", config)
    print(
        f"data: {dataset.name}, {len(dataset.x_train)} training images and "
        f"{len(dataset.x_test)} test images ({dataset.source})\n"
        f"device: {_device()}",
        flush=True,
    )
    rows = system.fit(model, folder, arguments.epochs)

    print("measuring on the test set", flush=True)
    result = {
        **config,
        "source": dataset.source,
        "class_names": dataset.class_names,
        "parameters": model.count_params(),
        "training_seconds": round(sum(row["seconds"] for row in rows)),
        "machine": f"{_device()}, {keras.backend.backend()}",
        **system.measure(model, dataset),
    }
    write_json(run / "metrics.json", result)
    system.draw(model, dataset, run)
    print_summary(run, result, system)


def described_data(
    system: System, arguments: argparse.Namespace, run: Path
) -> dict[str, Any]:
    """The data that a run is asked for, as its files keep it.

    Raises:
        ValueError: If it is neither a data set that the system takes nor a folder, if
            the options of a folder stand beside the name of a data set, or if the run
            would be written into the folder.
    """
    found = {name: getattr(arguments, name) for name in DATA_OPTIONS}
    if arguments.data not in data.NAMES:
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
            f"Expected --data to be a folder of pictures or one of {system.data}, the "
            f"data sets of this system. Received: {arguments.data}"
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


def check_run(run: Path, config: dict[str, Any], resume: bool) -> None:
    """Checks that a folder is free, or with `resume` that it is the one to go on with.

    Args:
        run: Path of the folder.
        config: Dictionary of what the run is asked to do.
        resume: Whether the folder is expected to hold a run with this `config`. There
            may be more epochs now, and other versions, which are printed.

    Raises:
        ValueError: If it does not, or if it does without `resume`.
    """
    path = run / "config.json"
    if not path.exists():
        if resume:
            raise ValueError(f"Expected a run to resume in {run}. Found none.")
        return
    if not resume:
        raise ValueError(
            f"{run} already holds a run. Expected --resume to go on with it, or "
            "another --out."
        )
    found = read_json(path)
    versions = differences(found.get("versions", {}), config["versions"])
    like = {**config, "versions": found.get("versions")}
    if config["epochs"] > found.get("epochs", 0):
        like["epochs"] = found.get("epochs")
    different = differences(found, like)
    if different:
        raise ValueError(
            f"Expected the arguments that {run} was started with, or more epochs. "
            f"Different: {different}"
        )
    if versions:
        print(f"going on with other versions, which may round otherwise: {versions}")


def _versions():
    """Of what computes."""
    backend = keras.backend.backend()
    return {
        "tfattn": tfattn.__version__,
        "keras": keras.__version__,
        # Its distribution may have another name: tensorflow-cpu, tf-nightly.
        backend: importlib.import_module(backend).__version__,
        "python": platform.python_version(),
    }


def print_summary(run: Path, result: dict[str, Any], system: System) -> None:
    """Prints the result in words, the pictures, and two commands to try next."""
    drawn = [
        (str(run / name), words)
        for name, words in system.pictures
        if (run / name).exists()
    ]
    ideas = system.next_commands(run)
    if 2 * result["epochs"] <= system.recipe.epochs:
        words = f"the full training, {system.recipe.epochs} epochs"
        ideas.append((full_training(run, result), words))
    else:
        ideas.append((["evaluate", str(run)], "measure the model again, thoroughly"))
    program = ["python", "-m", "tfattn"]
    if Path(sys.argv[0]).stem == "tfattn":
        program = [sys.argv[0]]
    ideas = [(shlex.join([*program, *command]), words) for command, words in ideas]
    print(f"\n{textwrap.fill(system.in_words(result), 79)}")
    for title, rows in (("pictures to open", drawn), ("what to try next", ideas)):
        print(f"\n{title}:")
        width = max((len(left) for left, _ in rows), default=0)
        for left, words in rows:
            print(f"  {left:{width}}   {words}")


def full_training(run: Path, result: dict[str, Any]) -> list[str]:
    """The arguments of the same training with all epochs, in a folder of its own."""
    arguments = ["train", result["system"]]
    defaults = vars(build_parser().parse_args(arguments))
    for name, default in defaults.items():
        value = result.get(name, default)
        if name == "epochs" or value == default:
            continue
        arguments.append(f"--{name.replace('_', '-')}")
        if value is not True:
            arguments.append(str(value))
    return [*arguments, "--out", f"{run}_full"]


def _device():
    """The device in words."""
    backend = keras.backend.backend()
    cores = f"{os.cpu_count()} CPU cores"
    if backend != "tensorflow":
        return f"chosen by {backend}"
    import tensorflow as tf

    gpus = len(tf.config.list_physical_devices("GPU"))
    return f"{gpus} GPU and {cores}" if gpus else f"{cores}, no GPU found"


def evaluate(arguments: argparse.Namespace) -> None:
    """`tfattn evaluate RUN`: the long measurement, into metrics.json."""
    check_integer("--num-samples", arguments.num_samples, 1)
    # One image has a mean and no interval.
    check_integer("--subset-size", arguments.subset_size, 2)
    check_integer("--subset-num-samples", arguments.subset_num_samples, 1)
    check_writable(arguments.run / "metrics.json")
    model, result = load_run(arguments.run)
    system = SYSTEMS[result["system"]]
    options = {k: v for k, v in vars(arguments).items() if k not in ("action", "run")}
    if arguments.features not in (None, "inception"):
        options["features"], _ = load_run(Path(arguments.features))
        if not isinstance(options["features"], ImageClassifier):
            raise ValueError(
                "Expected --features to be the run of a classifier, or inception. "
                f"Received: {arguments.features}"
            )
    dataset = load_data(result)
    if result["data"] not in data.NAMES:
        check_unchanged(arguments.run, system.batches(model, dataset, result["seed"]))
    result |= system.evaluate(model, dataset, **options)
    write_json(arguments.run / "metrics.json", result)
    print(f"\n{textwrap.fill(system.in_words(result), 79)}")


def check_unchanged(run: Path, batches: ShuffledBatches) -> None:
    """ValueError if a folder no longer gives the images that a run was trained on."""
    found, now = read_json(run / "trained_on.json"), batches.description()
    different = differences({name: found.get(name) for name in now}, now)
    if different:
        raise ValueError(
            f"Expected the pictures that {run} was trained on, so that none of them is "
            f"measured with. Different: {different}"
        )


def generate(arguments: argparse.Namespace) -> None:
    """`tfattn generate RUN`: new images, on a sheet, one by one, or as an array."""
    check_integer("--num-images", arguments.num_images, 1)
    check_integer("--seed", arguments.seed, 0)
    name = f"images_seed{arguments.seed}"
    if not arguments.each:
        name = f"samples_seed{arguments.seed}.png"
    out = arguments.out or arguments.run / name
    if arguments.each and out.exists():
        raise ValueError(f"{out} already exists. Expected another --out.")
    check_writable(out)
    model, result = load_run(arguments.run)
    condition = arguments.condition
    if condition in (result.get("class_names") or ()):
        condition = str(result["class_names"].index(condition))
    images = SYSTEMS[result["system"]].generate(
        model, arguments.num_images, arguments.seed, condition
    )
    if arguments.each:
        write_each(out, images)
    elif out.suffix == ".npz":
        write_whole(out, lambda part: np.savez_compressed(part, images=images))
    else:
        columns = min(10, len(images))
        rows = -(-len(images) // columns)
        sheet = np.ones((rows * columns, *model.image_shape), "float32")
        sheet[: len(images)] = images
        sheet = sheet.reshape(rows, columns, *model.image_shape)
        write_figure(out, plots.image_grid(sheet))
    print(out)


def write_each(folder: Path, images: np.ndarray) -> None:
    """Writes images (n, h, w, c) as PNG files, numbered from 1, into a new folder."""
    folder.mkdir(parents=True)
    digits = max(2, len(str(len(images))))
    for number, image in enumerate(images, start=1):
        write_whole(
            folder / f"{number:0{digits}}.png",
            lambda part, image=image: pictures.write_picture(part, image),
        )


def complete(arguments: argparse.Namespace) -> None:
    """`tfattn complete IMAGE`: several answers for what a mask hides of a picture."""
    check_integer("--num-samples", arguments.num_samples, 1)
    if not arguments.image.is_file():
        raise ValueError(f"Expected a picture file. Received: {arguments.image}")
    out = arguments.out or arguments.image.with_name(
        f"{arguments.image.stem}_completed"
    )
    if out.exists():
        raise ValueError(f"{out} already exists. Expected another --out.")
    check_writable(out)
    if arguments.run is None:
        model = load_pretrained("completion_olivetti")
    else:
        model, _ = load_run(arguments.run)
    if not isinstance(model, CompletionVAE):
        raise ValueError(
            "Expected the run of a completion model. "
            f"Received: {arguments.run}, a {type(model).__name__}"
        )
    image, words = pictures.read_picture(arguments.image, model.image_shape)
    visible, words_on_mask = pictures.read_mask(
        arguments.mask, model.image_shape[:2], arguments.image
    )
    completions = model.complete(
        image[None], visible, num_samples=arguments.num_samples, seed=arguments.seed
    )
    print(f"{words}\n{words_on_mask}")
    figure = plots.completion_figure(image[None], visible, completions)
    write_each(out, completions[0])
    write_figure(out / "sheet.png", figure)
    print(out)


def check_writable(path: Path) -> None:
    """OSError where a file or a folder cannot be written, before the work for it."""
    if path.is_dir():
        raise IsADirectoryError(f"Expected a file to write. Received: {path}, a folder")
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"Expected a folder. Received: {folder}, a file")
    # Asked of the file system: the permissions alone do not say it.
    with tempfile.TemporaryFile(dir=folder):
        pass


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tfattn", description=__doc__)
    parser.add_argument(
        "--version", action="version", version=f"tfattn {tfattn.__version__}"
    )
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("train", help="train a model into a run folder")
    systems = command.add_subparsers(required=True, dest="system", metavar="SYSTEM")
    for name, system in SYSTEMS.items():
        command = systems.add_parser(name, help=system.__doc__)
        command.add_argument(
            "--data",
            default=system.data[0],
            help=f"{', '.join(system.data)}, or a folder of pictures "
            "(default: %(default)s)",
        )
        command.add_argument(
            "--image-size",
            type=int,
            help=f"of a folder: side of the images in pixels (default: {IMAGE_SIZE})",
        )
        command.add_argument(
            "--channels",
            type=int,
            choices=(1, 3),
            help="of a folder: 1 for gray, 3 for colors (default: 3)",
        )
        command.add_argument(
            "--labels",
            choices=("folders",),
            help="of a folder: each folder in it is a class (default: no classes)",
        )
        system.add_options(command)
        command.add_argument("--epochs", type=int, default=system.recipe.epochs)
        command.add_argument(
            "--out", type=Path, help=f"run folder (default: runs/{name}_DATA)"
        )
        command.add_argument("--seed", type=int, default=0)
        command.add_argument(
            "--resume",
            action="store_true",
            help="go on with an interrupted run, or with more epochs than it had",
        )
        command.set_defaults(action=train)

    command = commands.add_parser("evaluate", help="measure a finished run")
    command.add_argument("run", type=Path)
    of_vae = command.add_argument_group(
        "importance-weighted bounds of a vae or of a completion model"
    )
    of_vae.add_argument("--num-samples", type=int, default=64)
    of_vae.add_argument("--subset-size", type=int, default=1000)
    of_vae.add_argument("--subset-num-samples", type=int, default=5000)
    command.add_argument(
        "--features",
        metavar="RUN",
        help="the run of a classifier, or inception (downloaded): images of a gan are "
        "compared by its features (default: the classifier in the package, if any)",
    )
    command.set_defaults(action=evaluate)

    command = commands.add_parser("generate", help="generate new images")
    command.add_argument("run", type=Path)
    command.add_argument("--num-images", type=int, default=100)
    command.add_argument(
        "--condition",
        metavar="WORDS",
        help="of all images: a class, its number or its folder's name, or a text "
        "(default: all in turn)",
    )
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--each",
        action="store_true",
        help="a PNG file for each image, in a folder, in place of one sheet",
    )
    command.add_argument(
        "--out",
        type=Path,
        help="PNG file to write, or .npz for an array; with --each a folder to make",
    )
    command.set_defaults(action=generate)

    command = commands.add_parser(
        "complete", help="draw what a mask hides of a picture of yours"
    )
    command.add_argument("image", type=Path, help="a face, filling the picture")
    command.add_argument(
        "--mask",
        default="lower_half",
        help=(
            f"{', '.join(masks.NAMES)}, or a picture file, white where visible: of the "
            "size or the proportions of IMAGE, or else of what is cut out of it"
        ),
    )
    command.add_argument(
        "--run", type=Path, help="a finished run (default: the model in the package)"
    )
    command.add_argument("--num-samples", type=int, default=8)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--out", type=Path, help="folder to make (default: IMAGE_completed)"
    )
    command.set_defaults(action=complete)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    for stream in (sys.stdout, sys.stderr):
        # A terminal without Greek letters shows question marks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    parsed = build_parser().parse_args(arguments)
    try:
        parsed.action(parsed)
    except (ValueError, OSError, data.DataUnavailableError) as error:
        sys.exit(f"tfattn: {error}")
    except KeyboardInterrupt:
        resume = "; the same command with --resume goes on"
        sys.exit(f"\ntfattn: interrupted{resume if parsed.action is train else ''}")


if __name__ == "__main__":
    main()
