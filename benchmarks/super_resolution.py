"""Small digits enlarged to 28×28: by a Transformer in order coarse to fine, and others.

    python benchmarks/super_resolution.py

Writes results/super_resolution.json: PSNR, SSIM and recognized digits, for each size of
the small images, of `transformer_mnist_coarse_to_fine` and of ways without its order.
"""

import os
from pathlib import Path

import keras
import numpy as np
from answers import PROTOCOL, compared, share_right
from scipy.ndimage import map_coordinates

from tfattn import data
from tfattn.evaluation import metrics
from tfattn.evaluation.baselines import nearest_neighbor, ridge_regression
from tfattn.models import load_pretrained
from tfattn.models.transformer.sampling import batches
from tfattn.training.runs import write_json

RESULTS = Path(__file__).parent / "results" / "super_resolution.json"
FACTORS = (4, 2)
NUM_TEST_IMAGES = 500
NUM_SAMPLES = 16
NUM_TRAINING_IMAGES = 20_000
SEED = 0


def repeated(x, factor):
    """Each visible pixel as a square."""
    small = x[:, ::factor, ::factor]
    return small.repeat(factor, axis=1).repeat(factor, axis=2)


def bicubic(x, factor):
    """Cubic splines through the visible pixels, which keep their values."""
    places = np.indices(x.shape[1:3]) / factor
    small = x[:, ::factor, ::factor, 0]
    answers = [map_coordinates(s, places, order=3, mode="nearest") for s in small]
    answers = np.clip(np.stack(answers), 0, 1)
    answers[:, ::factor, ::factor] = small  # as they are already, but for rounding
    return answers[..., None]


def in_rows(model, x, visible):
    """Samples of a model in raster order, `NUM_SAMPLES` of each image.

    Each is written token by token, from the values that fit the visible pixels, which
    knows nothing of those to come. Importance weights mend that: as many are drawn from
    each image's samples, by the probabilities that the model gave to the visible pixels
    on the way.
    """
    tokens, n = model.tokens, len(x)
    levels = np.rint(x).astype("int32")
    shown = np.broadcast_to(visible[None, ..., None], x.shape).astype("int32")
    given = [tokens.pixels[tokens.from_levels(levels)]]
    given.append(tokens.pixels[tokens.from_levels(shown)].astype(bool))
    given = [np.repeat(a, NUM_SAMPLES, axis=0) for a in given]
    images = model._draw_images(n * NUM_SAMPLES, [], given, 1.0, SEED, True, 64)
    sequence = tokens.from_levels(np.rint(images).astype("int32"))
    log_weights = np.concatenate(
        [
            np.subtract(
                model._log_density(part[0]), model._log_density_of_hidden(*part)
            )
            for part in batches([sequence, *given], len(images), 100)
        ]
    )
    log_weights = log_weights[: len(images)].reshape(n, NUM_SAMPLES)
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(SEED)
    chosen = np.stack([rng.choice(NUM_SAMPLES, NUM_SAMPLES, p=w) for w in weights])
    images = images.reshape(n, NUM_SAMPLES, *x.shape[1:])
    return images[np.arange(n)[:, None], chosen]


def classes_of(images, judge):
    """Which digits images show, made black and white where they are not."""
    return judge.classify((images > 0.5).astype("float32"))


def of_factor(factor, x, y, x_train, models, judge):
    visible = np.zeros(x.shape[1:3], bool)
    visible[::factor, ::factor] = True
    raster, coarse_to_fine = models
    ways = {
        "each pixel as a square": lambda: repeated(x, factor)[:, None],
        "bicubic": lambda: bicubic(x, factor)[:, None],
        "ridge regression": lambda: ridge_regression(x_train, x, visible),
        "nearest neighbor": lambda: nearest_neighbor(x_train, x, visible),
        "`transformer_mnist`, by importance": lambda: in_rows(raster, x, visible),
        "`transformer_mnist_coarse_to_fine`": lambda: coarse_to_fine.complete(
            x, visible, num_samples=NUM_SAMPLES, seed=SEED
        ),
    }
    found = compared(ways, x, visible, y, lambda images: classes_of(images, judge))
    nats = -coarse_to_fine.log_likelihood(x, visible=visible)
    return {"ways": found, "nats_of_hidden": metrics.mean_estimate(nats)._asdict()}


def main():
    mnist = data.load("mnist")
    models = [
        load_pretrained(name)
        for name in ("transformer_mnist", "transformer_mnist_coarse_to_fine")
    ]
    order = np.random.default_rng(0).permutation(len(mnist.x_test))[:NUM_TEST_IMAGES]
    x, y = data.binarize(mnist.x_test, seed=0)[order], mnist.y_test[order]
    few = np.random.default_rng(1).permutation(len(mnist.x_train))[:NUM_TRAINING_IMAGES]
    x_train = data.binarize(mnist.x_train[few], seed=1)
    judge = load_pretrained("classifier_binarized_mnist")
    write_json(
        RESULTS,
        {
            "protocol": f"{len(x)} test images, a seeded subset, binarized once; "
            "visible: every fourth or second pixel in both directions, which all "
            f"answers keep; {NUM_SAMPLES} samples of an image; {PROTOCOL}; "
            "classes are those of `classifier_binarized_mnist`, which sees answers in "
            "gray made black and white at 0.5; regression and nearest neighbor: "
            f"{len(few)} training images; intervals: 95 %, over images",
            "machine": f"{os.cpu_count()} CPU cores, {keras.backend.backend()}",
            "recognized_of_the_images_themselves": share_right(classes_of(x, judge), y),
            "factors": {
                str(factor): of_factor(factor, x, y, x_train, models, judge)
                for factor in FACTORS
            },
        },
    )


if __name__ == "__main__":
    main()
