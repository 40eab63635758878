"""`tfattn enlarge`: a small picture, several times larger."""

import argparse

import numpy as np

from tfattn import plots
from tfattn._checks import check_integer
from tfattn.cli.inputs import check_picture, load_model
from tfattn.cli.output import check_free, write_answers
from tfattn.data import pictures
from tfattn.models import ImageTransformer


def enlarge(arguments: argparse.Namespace) -> None:
    """`tfattn enlarge PICTURE`: several answers for the pixels between its pixels."""
    check_integer("--num-samples", arguments.num_samples, 1)
    check_picture(arguments.image)
    out = arguments.out or arguments.image.with_name(f"{arguments.image.stem}_enlarged")
    check_free(out)
    picture = pictures.open_picture(arguments.image)
    default, kinds = "transformer_mnist_coarse_to_fine", (ImageTransformer,)
    model = load_model(arguments.run, default, kinds, "a transformer")
    if model.order != "coarse_to_fine" or model.condition is not None:
        raise ValueError(
            "Expected a run of `tfattn train transformer --order coarse_to_fine`, "
            f"without a condition. Received: {arguments.run} with order={model.order}, "
            f"condition={model.condition}"
        )
    h, w, c = model.image_shape
    if picture.width >= w and picture.height >= h:
        raise ValueError(
            f"Expected a picture smaller than {w}×{h} pixels, the size of the model's "
            f"images. Received: {picture.width}×{picture.height} pixels"
        )
    # From the largest of the model's coarse images that the picture fills.
    *steps, _ = model.tokens.steps
    fit = [
        (down, right)
        for down, right in steps
        if picture.width >= w // right and picture.height >= h // down
    ]
    down, right = (fit or steps[:1])[-1]
    small, words = pictures.read_picture(arguments.image, (h // down, w // right, c))
    image, visible = np.zeros((h, w, c), "float32"), np.zeros((h, w), bool)
    image[::down, ::right] = np.rint(small * (model.levels - 1)) / (model.levels - 1)
    visible[::down, ::right] = True
    answers = model.complete(
        image[None], visible, num_samples=arguments.num_samples, seed=arguments.seed
    )
    print(f"{words}; {model.levels} levels, enlarged to {w}×{h} pixels")
    repeated = image[::down, ::right].repeat(down, axis=0).repeat(right, axis=1)
    figure = plots.image_grid(
        np.stack([repeated, *answers[0]])[None],
        column_titles=["picture", *map(str, range(1, 1 + len(answers[0])))],
    )
    write_answers(out, [pictures.as_picture(answer) for answer in answers[0]], figure)
