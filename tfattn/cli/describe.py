"""`tfattn describe`: what a picture shows, in words."""

import argparse

import numpy as np

from tfattn._checks import check_integer
from tfattn.cli.inputs import check_picture, load_model
from tfattn.data import pictures
from tfattn.models import ImageCaptioner

# At least; a narrower beam may miss the likeliest text.
BEAM_WIDTH = 8


def describe(arguments: argparse.Namespace) -> None:
    """`tfattn describe PICTURE`: the likeliest texts, each with its probability."""
    check_integer("--num-texts", arguments.num_texts, 1)
    check_picture(arguments.image)
    default, kinds = "captioner_mnist", (ImageCaptioner,)
    model = load_model(arguments.run, default, kinds, "a captioner")
    n, num_texts = arguments.num_texts, model.tokenizer.num_texts
    if n > num_texts:
        raise ValueError(
            f"Expected --num-texts of at most {num_texts}, the number of texts that "
            f"the model can write. Received: {n}"
        )
    image, words = pictures.read_picture(arguments.image, model.image_shape)
    print(words)
    beam_width = min(max(n, BEAM_WIDTH), num_texts)
    (texts,) = model.describe(image[None], num_samples=n, beam_width=beam_width)
    nats = model.log_likelihood(np.repeat(image[None], n, axis=0), texts)
    for text, p in zip(texts, np.exp(nats), strict=True):
        print(f"{p:6.1%}   {text}")
