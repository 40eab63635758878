"""What several systems share."""

import keras
import numpy as np

from tfattn import data
from tfattn.training.runs import write_figure

TEST_DRAW_SEED = 0


def add_mixed_precision(parser):
    """The option `--mixed-precision`; `dtype_of` reads it."""
    parser.add_argument(
        "--mixed-precision",
        action="store_true",
        help="bfloat16 computations, for processors and GPUs that have them",
    )


def dtype_of(arguments):
    """The `dtype` of a model that `--mixed-precision` asks for."""
    return "mixed_bfloat16" if arguments.mixed_precision else None


def warmup_cosine(peak_rate, num_steps):
    """A rate that rises for 300 steps, at most a tenth, then falls to nothing."""
    warmup_steps = min(300, num_steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        1e-5,
        max(1, num_steps - warmup_steps),
        warmup_target=peak_rate,
        warmup_steps=warmup_steps,
    )


def write_epoch_figure(run, epoch, figure):
    """A figure into the folder of samples, under the number of its epoch."""
    folder = run / "samples"
    folder.mkdir(exist_ok=True)
    write_figure(folder / f"epoch_{epoch:03}.png", figure)


def binarisation(name):
    """Words on how the images of a data set become binary."""
    if name == "binarized_mnist":
        return "static binarisation (Larochelle), 50 000 training images"
    return (
        "dynamic binarisation: training images drawn anew in each step, test images "
        f"drawn once with seed {TEST_DRAW_SEED}"
    )


def nats_of_independent_pixels(dataset):
    """What a model needs that knows only how often each pixel is white.

    Args:
        dataset: A `tfattn.data.Dataset`.

    Returns:
        Its mean negative log-likelihood of the binary test images, in nats.
    """
    white = dataset.x_train.mean(axis=0, dtype="float64").clip(1e-3, 1 - 1e-3)
    x = data.binarize(dataset.x_test, TEST_DRAW_SEED).mean(axis=0, dtype="float64")
    return float(-np.sum(x * np.log(white) + (1 - x) * np.log(1 - white)))


def nats_and_bits(nats):
    """A number of nats in words, with the bits, which more readers know."""
    return f"{nats:.1f} nats ({nats / np.log(2):.0f} bits)"


def print_estimate(name, estimate):
    print(
        f"test {name}: {estimate.value:.2f} nats per image "
        f"(95 % interval {estimate.low:.2f} to {estimate.high:.2f}, "
        f"{estimate.num_images} images)",
        flush=True,
    )
