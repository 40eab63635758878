"""The command `tfattn`: train, evaluate and sample models, complete pictures."""

import argparse
import os
import platform
import shlex
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

import tfattn
from tfattn import data, plots
from tfattn.cli.systems import classifier, completion, gan, transformer, vae
from tfattn.data import masks, pictures
from tfattn.models import CompletionVAE, load_pretrained
from tfattn.training.runs import (
    fit,
    load_run,
    open_run,
    write_figure,
    write_json,
    write_whole,
)

SYSTEMS = {
    "vae": vae,
    "gan": gan,
    "transformer": transformer,
    "completion": completion,
    "classifier": classifier,
}


def train(arguments):
    """`tfattn train SYSTEM`: from a data set's name to a finished run folder."""
    system = SYSTEMS[arguments.system]
    if arguments.epochs < 1:
        raise ValueError(f"Expected --epochs >= 1. Received: {arguments.epochs}")
    run = arguments.out or Path("runs") / f"{arguments.system}_{arguments.data}"
    not_config = ("action", "out", "resume")
    config = {k: v for k, v in vars(arguments).items() if k not in not_config}
    dataset = data.load(arguments.data)
    keras.utils.set_random_seed(arguments.seed)
    model = system.build(dataset, arguments)
    open_run(run, config, arguments.resume)
    print(
        f"data: {dataset.name}, {len(dataset.x_train)} training images and "
        f"{len(dataset.x_test)} test images ({dataset.source})\n"
        f"device: {_device()}",
        flush=True,
    )
    arrays = system.training_arrays(dataset, model)
    rows = fit(model, system, arrays, run, arguments.epochs, arguments.seed)
    write_whole(run / "model.keras", model.save)
    (run / "checkpoint.weights.h5").unlink(missing_ok=True)

    print("measuring on the test set", flush=True)
    result = {
        **config,
        "source": dataset.source,
        "parameters": model.count_params(),
        "training_seconds": round(sum(row["seconds"] for row in rows)),
        "machine": f"{os.cpu_count()} CPU cores, {keras.backend.backend()}",
        "versions": {
            package: version(package) for package in ("keras", keras.backend.backend())
        }
        | {"tfattn": tfattn.__version__, "python": platform.python_version()},
        **system.measure(model, dataset),
    }
    write_json(run / "metrics.json", result)
    system.draw(model, dataset, run)
    print_summary(run, result, system)


def print_summary(run, result, system):
    """Prints the result in words, the pictures, and two commands to try next."""
    drawn = [
        (str(run / name), words)
        for name, words in system.PICTURES.items()
        if (run / name).exists()
    ]
    ideas = []
    if result["system"] == "completion":
        command = ["complete", "face.jpg", "--run", str(run)]
        ideas.append((command, "complete a picture of yours"))
    elif result["system"] != "classifier":
        command = ["sample", str(run), "--seed", "1"]
        ideas.append((command, "another sheet of new images"))
    if 2 * result["epochs"] <= system.EPOCHS:
        words = f"the full training, {system.EPOCHS} epochs"
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


def full_training(run, result):
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


def evaluate(arguments):
    """`tfattn evaluate RUN`: the long measurement, into metrics.json."""
    model, result = load_run(arguments.run)
    system = SYSTEMS[result["system"]]
    result |= system.evaluate(model, data.load(result["data"]), arguments)
    write_json(arguments.run / "metrics.json", result)
    print(f"\n{textwrap.fill(system.in_words(result), 79)}")


def sample(arguments):
    """`tfattn sample RUN`: a sheet of new images."""
    if arguments.num_images < 1:
        raise ValueError(
            f"Expected --num-images >= 1. Received: {arguments.num_images}"
        )
    model, result = load_run(arguments.run)
    columns = min(10, arguments.num_images)
    rows = -(-arguments.num_images // columns)
    images = np.ones((rows * columns, *model.image_shape), "float32")
    images[: arguments.num_images] = SYSTEMS[result["system"]].sample(
        model, arguments.num_images, arguments.seed
    )
    figure = plots.image_grid(images.reshape(rows, columns, *model.image_shape))
    out = arguments.out or arguments.run / f"samples_seed{arguments.seed}.png"
    write_figure(out, figure)
    print(out)


def complete(arguments):
    """`tfattn complete IMAGE`: several answers for what a mask hides of a picture."""
    out = arguments.out or arguments.image.with_name(
        f"{arguments.image.stem}_completed"
    )
    if out.exists():
        raise ValueError(f"{out} already exists. Expected another --out.")
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
    visible = pictures.read_mask(arguments.mask, model.image_shape[:2])
    completions = model.complete(
        image[None], visible, arguments.num_samples, seed=arguments.seed
    )
    print(words)
    figure = plots.completion_figure(image[None], visible, completions)
    out.mkdir(parents=True)
    write_figure(out / "sheet.png", figure)
    for number, completed in enumerate(completions[0], start=1):
        write_whole(
            out / f"{number:02}.png",
            lambda part, completed=completed: pictures.write_picture(part, completed),
        )
    print(out)


def build_parser():
    parser = argparse.ArgumentParser(prog="tfattn", description=__doc__)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("train", help="train a model into a run folder")
    systems = command.add_subparsers(required=True, dest="system", metavar="SYSTEM")
    for name, system in SYSTEMS.items():
        command = systems.add_parser(name, help=system.__doc__)
        command.add_argument(
            "--data",
            choices=system.DATA,
            default=system.DATA[0],
            help="data set (default: %(default)s)",
        )
        system.add_arguments(command)
        command.add_argument("--epochs", type=int, default=system.EPOCHS)
        command.add_argument(
            "--out", type=Path, help=f"run folder (default: runs/{name}_DATA)"
        )
        command.add_argument("--seed", type=int, default=0)
        command.add_argument(
            "--resume", action="store_true", help="go on with an interrupted run"
        )
        command.set_defaults(action=train)

    command = commands.add_parser("evaluate", help="measure a finished run")
    command.add_argument("run", type=Path)
    of_vae = command.add_argument_group("importance-weighted bounds of a vae")
    of_vae.add_argument("--num-samples", type=int, default=64)
    of_vae.add_argument("--subset-size", type=int, default=1000)
    of_vae.add_argument("--subset-num-samples", type=int, default=5000)
    command.set_defaults(action=evaluate)

    command = commands.add_parser("sample", help="draw a sheet of new images")
    command.add_argument("run", type=Path)
    command.add_argument("--num-images", type=int, default=100)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--out", type=Path, help="PNG file to write")
    command.set_defaults(action=sample)

    command = commands.add_parser(
        "complete", help="draw what a mask hides of a picture of yours"
    )
    command.add_argument("image", type=Path, help="a face, filling the picture")
    command.add_argument(
        "--mask",
        default="lower_half",
        help=f"{', '.join(masks.NAMES)}, or a picture file, white where visible",
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


def main(arguments=None):
    arguments = build_parser().parse_args(arguments)
    try:
        arguments.action(arguments)
    except (ValueError, data.DataUnavailableError) as error:
        sys.exit(f"tfattn: {error}")
    except KeyboardInterrupt:
        sys.exit("\ntfattn: interrupted; the same command with --resume goes on")


if __name__ == "__main__":
    main()
