"""Line drawings turned into images: by Transformers, and by two baselines.

    python benchmarks/translation.py runs/translator_fashion_mnist runs/translator_mnist

The folders are runs of `tfattn train translator`. Writes results/translation.json:
PSNR, SSIM and recognized images of articles from their edges and of digits from their
skeletons, for images that no training has seen.
"""

import os
import sys
from pathlib import Path

import keras
import numpy as np
from answers import PROTOCOL, compared, share_right

from tfattn import data
from tfattn.cli.systems.likelihood import with_levels
from tfattn.cli.systems.translator import drawings_for
from tfattn.evaluation import metrics
from tfattn.evaluation.baselines import nearest_neighbor, ridge_regression
from tfattn.models import load_pretrained
from tfattn.training.runs import load_run, write_json

RESULTS = Path(__file__).parent / "results" / "translation.json"
JUDGES = {
    "fashion_mnist": "classifier_fashion_mnist",
    "mnist": "classifier_binarized_mnist",
}
NUM_TEST_IMAGES = 1000
NUM_SAMPLES = 16
NUM_TRAINING_IMAGES = 20_000
SEED = 0


def of_run(folder):
    """The name of its data, and the measures."""
    model, result = load_run(Path(folder))
    name = result["data"]
    dataset, judge = data.load(name), load_pretrained(JUDGES[name])
    order = np.random.default_rng(0).permutation(len(dataset.x_test))
    order = order[:NUM_TEST_IMAGES]
    few = np.random.default_rng(1).permutation(len(dataset.x_train))
    few = few[:NUM_TRAINING_IMAGES]
    x, y = with_levels(dataset.x_test[order], model.levels), dataset.y_test[order]
    given = drawings_for(model, dataset.x_test[order])
    h, w, _ = model.image_shape

    x_train = with_levels(dataset.x_train[few], model.levels)
    pairs = np.concatenate([drawings_for(model, dataset.x_train[few]), x_train], axis=2)

    def by(baseline):
        """A baseline of completion, whose images have their drawing beside them."""
        images = np.concatenate([given, np.zeros_like(x)], axis=2)
        visible = np.arange(2 * w) < np.full((h, 1), w)
        return baseline(pairs, images, visible)[:, :, :, w:]

    def samples():
        images = model.generate(
            len(x) * NUM_SAMPLES, np.repeat(given, NUM_SAMPLES, axis=0), seed=SEED
        )
        return images.reshape(len(x), NUM_SAMPLES, *x.shape[1:])

    def classify(images):
        if model.levels == 2:
            images = (images > 0.5).astype("float32")
        return judge.classify(images)

    ways = {
        "ridge regression": lambda: by(ridge_regression),
        "nearest neighbor": lambda: by(nearest_neighbor),
        "Transformer": samples,
    }
    nats = -model.log_likelihood(x, given)
    return name, {
        "epochs": result["epochs"],
        "training_seconds": result["training_seconds"],
        "parameters": result["parameters"],
        "ways": compared(ways, x, np.zeros((h, w), bool), y, classify),
        "nats": metrics.mean_estimate(nats)._asdict(),
        "recognized_of_the_images_themselves": share_right(classify(x), y),
    }


def main(*runs):
    judges = " and ".join(f"`{judge}`" for judge in JUDGES.values())
    write_json(
        RESULTS,
        {
            "protocol": f"{NUM_TEST_IMAGES} test images, a seeded subset, of the "
            "model's levels; edges by Canny's detector, skeletons by thinning; "
            f"{NUM_SAMPLES} samples of a drawing; {PROTOCOL}; regression and nearest "
            f"neighbor: {NUM_TRAINING_IMAGES} training images; classes are those of "
            f"{judges}; intervals: 95 %, over images",
            "machine": f"{os.cpu_count()} CPU cores, {keras.backend.backend()}",
            "data": dict(map(of_run, runs)),
        },
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
