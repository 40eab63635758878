"""`tfattn generate`: new images of a finished run."""

import argparse

import numpy as np

from tfattn import plots
from tfattn._checks import check_integer
from tfattn.cli.output import check_free, check_writable, new_folder, write_each
from tfattn.cli.systems import system_of
from tfattn.data import pictures
from tfattn.training.runs import load_run, write_figure, write_whole


def generate(arguments: argparse.Namespace) -> None:
    """`tfattn generate RUN`: new images, on a sheet, one by one, or as an array."""
    check_integer("--num-images", arguments.num_images, 1)
    check_integer("--seed", arguments.seed, 0)
    name = f"images_seed{arguments.seed}"
    if not arguments.each:
        name = f"samples_seed{arguments.seed}.png"
    out = arguments.out or arguments.run / name
    (check_free if arguments.each else check_writable)(out)
    model, result = load_run(arguments.run)
    condition = arguments.condition
    if condition in (result.get("class_names") or ()):
        condition = str(result["class_names"].index(condition))
    images = system_of(result).generate(
        model, arguments.num_images, arguments.seed, condition
    )
    if arguments.each:
        with new_folder(out) as folder:
            write_each(folder, [pictures.as_picture(image) for image in images])
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
