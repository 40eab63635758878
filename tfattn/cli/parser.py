"""The arguments of the command, and their help."""

import argparse
from pathlib import Path

import tfattn
from tfattn.cli.run_data import IMAGE_SIZE
from tfattn.cli.systems import SYSTEMS
from tfattn.data import masks

DESCRIPTION = "Trains and measures models, generates and completes images."


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tfattn", description=DESCRIPTION)
    parser.add_argument(
        "--version", action="version", version=f"tfattn {tfattn.__version__}"
    )
    commands = parser.add_subparsers(required=True, dest="action", metavar="COMMAND")

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
    return parser
