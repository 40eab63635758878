"""The arguments of the command, and their help."""

import argparse
from pathlib import Path

import tfattn
from tfattn._choices import MASKS
from tfattn.cli.options import IMAGE_SIZE, OPTIONS

DESCRIPTION = (
    "Train and measure attention models of images; generate, complete, enlarge and "
    "describe images."
)

RUN = "the folder of a finished run"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tfattn", description=DESCRIPTION)
    parser.add_argument(
        "--version", action="version", version=f"tfattn {tfattn.__version__}"
    )
    commands = parser.add_subparsers(required=True, dest="action", metavar="COMMAND")

    command = commands.add_parser("train", help="train a model; leaves a run folder")
    systems = command.add_subparsers(required=True, dest="system", metavar="SYSTEM")
    for name, system in OPTIONS.items():
        command = systems.add_parser(name, help=system.__doc__)
        or_folder = ", or a folder of pictures" * system.takes_folders
        command.add_argument(
            "--data",
            default=system.data[0],
            help=f"{', '.join(system.data)}{or_folder} (default: %(default)s)",
        )
        if system.takes_folders:
            _add_folder_options(command)
        system.add_options(command)
        command.add_argument(
            "--epochs",
            type=int,
            default=system.epochs,
            help="passes over the training images (default: %(default)s)",
        )
        if system.takes_patience:
            command.add_argument(
                "--patience",
                type=int,
                metavar="EPOCHS",
                help="hold out a tenth of the training images, and stop when their "
                "loss has not fallen for so many epochs (default: train all epochs)",
            )
        command.add_argument(
            "--out",
            type=Path,
            help=f"the run folder to make (default: runs/{name}_DATA)",
        )
        _add_seed(command)
        command.add_argument(
            "--resume",
            action="store_true",
            help="continue an interrupted run, or a finished one with more epochs",
        )
        command.add_argument(
            "--tensorboard",
            action="store_true",
            help="also write the losses of each epoch for TensorBoard, into the run "
            "folder",
        )

    command = commands.add_parser("evaluate", help="measure a finished run")
    command.add_argument("run", type=Path, help=RUN)
    of_vae = command.add_argument_group(
        "importance-weighted bound of a vae or a completion model"
    )
    of_vae.add_argument(
        "--num-samples",
        type=int,
        default=64,
        help="samples of the latent vector for each test image (default: %(default)s)",
    )
    of_vae.add_argument(
        "--subset-size",
        type=int,
        default=1000,
        help="test images that are measured with more samples (default: %(default)s)",
    )
    of_vae.add_argument(
        "--subset-num-samples",
        type=int,
        default=5000,
        help="samples for each of them (default: %(default)s)",
    )
    command.add_argument(
        "--features",
        metavar="RUN",
        help="for a gan: the classifier whose features compare generated and real "
        "images, as its run folder, or `inception`, which is downloaded (default: the "
        "classifier in the package, if it has one for the data)",
    )

    command = commands.add_parser("generate", help="generate new images")
    command.add_argument("run", type=Path, help=RUN)
    command.add_argument(
        "--num-images",
        type=int,
        default=100,
        help="how many images (default: %(default)s)",
    )
    command.add_argument(
        "--condition",
        metavar="CONDITION",
        help="a class, by number or by the name of its folder, or a text, for all "
        "images (default: all classes or texts in turn); for a translator the picture "
        "file of a drawing",
    )
    _add_seed(command)
    command.add_argument(
        "--each",
        action="store_true",
        help="write one PNG file for each image into a folder, instead of one sheet",
    )
    command.add_argument(
        "--out",
        type=Path,
        help="the PNG file to write, or an .npz file for the array of images; with "
        "--each the folder to make",
    )

    command = commands.add_parser(
        "complete", help="hide a part of a picture and fill it in, several times"
    )
    command.add_argument(
        "image",
        type=Path,
        help="the picture; for the model in the package, a face that fills it",
    )
    command.add_argument(
        "--mask",
        default="lower_half",
        help=(
            f"what to hide: {', '.join(MASKS)}, or a picture file that is white "
            "where IMAGE stays visible, of the size or the proportions of IMAGE "
            "(default: %(default)s)"
        ),
    )
    _add_run(command)
    _add_num_samples(command, "completions")
    _add_seed(command)
    command.add_argument(
        "--paste",
        action="store_true",
        help="write the completions in the place and the size of IMAGE, whose visible "
        "pixels stay as they are, instead of at the size of the model's images",
    )
    command.add_argument(
        "--out", type=Path, help="the folder to make (default: IMAGE_completed)"
    )

    command = commands.add_parser(
        "enlarge", help="sample several larger versions of a small picture"
    )
    command.add_argument(
        "image",
        type=Path,
        help="the picture, every second or every fourth pixel of a larger one; for the "
        "model in the package, a white digit on black",
    )
    _add_run(command, " of `tfattn train transformer --order coarse_to_fine`")
    _add_num_samples(command, "larger versions")
    _add_seed(command)
    command.add_argument(
        "--out", type=Path, help="the folder to make (default: IMAGE_enlarged)"
    )

    command = commands.add_parser("describe", help="say in words what a picture shows")
    command.add_argument(
        "image",
        type=Path,
        help="the picture; for the model in the package, two white digits side by side "
        "on black",
    )
    _add_run(command)
    command.add_argument(
        "--num-texts",
        type=int,
        default=1,
        help="how many texts, the likeliest first (default: %(default)s)",
    )
    return parser


def _add_folder_options(parser):
    parser.add_argument(
        "--image-size",
        type=int,
        help="with a folder of pictures: height and width of the images in pixels "
        f"(default: {IMAGE_SIZE})",
    )
    parser.add_argument(
        "--channels",
        type=int,
        choices=(1, 3),
        help="with a folder of pictures: 1 for gray, 3 for color (default: 3)",
    )
    parser.add_argument(
        "--labels",
        choices=("folders",),
        help="with a folder of pictures: each folder in it is a class "
        "(default: no classes)",
    )


def _add_run(parser, of_command=""):
    parser.add_argument(
        "--run",
        type=Path,
        help=f"{RUN}{of_command} (default: the model in the package)",
    )


def _add_num_samples(parser, what):
    parser.add_argument(
        "--num-samples",
        type=int,
        default=8,
        help=f"how many {what} (default: %(default)s)",
    )


def _add_seed(parser):
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of all random numbers (default: %(default)s)",
    )
