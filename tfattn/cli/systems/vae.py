"""The attention VAE for the command line."""

import keras
import numpy as np

from tfattn import data, plots
from tfattn.cli.systems.common import (
    TEST_DRAW_SEED,
    binarisation,
    nats_and_bits,
    nats_of_independent_pixels,
    print_estimate,
    warmup_cosine,
)
from tfattn.evaluation import metrics
from tfattn.models import AttentionVAE, pretrained_results
from tfattn.training.runs import write_figure

BATCH_SIZE = 128
EPOCHS = 20
DATA = data.NAMES
PICTURES = {
    "samples.png": "100 new images, sampled from the model",
    "attention.png": "where the decoder looks when it draws the pixel at the cross",
}
SAMPLE_SEED = 0


def add_arguments(parser):
    parser.add_argument(
        "--attention",
        choices=["self", "module", "residual", "uniform", "none"],
        default="self",
    )


def build(dataset, arguments):
    return AttentionVAE(
        dataset.x_train.shape[1:],
        attention=None if arguments.attention == "none" else arguments.attention,
        seed=arguments.seed,
    )


def training_arrays(dataset, model):
    return (dataset.x_train,)


def compile_model(model, num_steps):
    """Adam with a warm-up and a cosine decay to nothing over `num_steps` steps."""
    schedule = warmup_cosine(2e-3, num_steps)
    # Only the first steps come near the norm at which gradients are cut.
    model.compile(keras.optimizers.Adam(schedule, clipnorm=200.0))
    model.optimizer.build(model.trainable_variables)


def epoch_measurements(model):
    return {}


def describe(row):
    return (
        f"negative ELBO {row['loss']:.2f} nats "
        f"(reconstruction {row['reconstruction']:.2f}, KL {row['kl']:.2f})"
    )


def draw_epoch(model, run, epoch):
    """Nothing: what is drawn of a VAE is drawn at the end."""


def measure(model, dataset):
    x_test = data.binarize(dataset.x_test, TEST_DRAW_SEED)
    bound = metrics.mean_estimate(-model.elbo(x_test))
    print_estimate("negative_elbo", bound)
    return {
        "protocol": binarisation(dataset.name),
        "negative_elbo": bound._asdict(),
        "nats_of_independent_pixels": nats_of_independent_pixels(dataset),
        "active_units": metrics.active_units(model.encode(x_test)[0]),
    }


def in_words(result):
    words = (
        "On average, the model needs at most "
        f"{nats_and_bits(result['negative_elbo']['value'])} to encode a test image. "
        "Fewer is better. A model that knows only how often each pixel is white needs "
        f"{result['nats_of_independent_pixels']:.1f} nats."
    )
    if result["data"] == "mnist":
        shipped = pretrained_results("vae_mnist")
        words += (
            f" The VAE in this package, trained for {shipped['epochs']} epochs, needs "
            f"{shipped['negative_elbo']['value']:.1f} nats."
        )
    return words


def draw(model, dataset, run):
    rows = sample(model, 100, SAMPLE_SEED).reshape(10, 10, *model.image_shape)
    write_figure(
        run / "samples.png", plots.image_grid(rows, title="sampled from the model")
    )
    if model.attention != "self":
        return
    images = data.binarize(dataset.x_test, TEST_DRAW_SEED)[:6]
    figure = plots.attention_figure(
        model.reconstruct(images),
        model.attention_maps(images),
        title="where the decoder looks when it draws the pixel at the cross",
    )
    write_figure(run / "attention.png", figure)


def evaluate(model, dataset, arguments):
    """Importance-weighted bounds."""
    x_test = data.binarize(dataset.x_test, TEST_DRAW_SEED)
    # A seeded subset: the first images of MNIST's test set are easier than the rest.
    subset = np.random.default_rng(0).permutation(len(x_test))[: arguments.subset_size]
    bounds = {"negative_elbo": metrics.mean_estimate(-model.elbo(x_test))}
    for images, num_samples, words in (
        (x_test, arguments.num_samples, "all test images"),
        (x_test[np.sort(subset)], arguments.subset_num_samples, "a random subset"),
    ):
        print(f"L_{num_samples} on {words}", flush=True)
        progress = keras.utils.Progbar(len(images), verbose=1)
        parts = []
        for start in range(0, len(images), 100):
            part = images[start : start + 100]
            parts.append(
                model.log_likelihood(part, num_samples=num_samples, seed=start)
            )
            progress.add(len(part))
        bounds[f"negative_log_likelihood_{num_samples}"] = metrics.mean_estimate(
            -np.concatenate(parts)
        )
    for name, estimate in bounds.items():
        print_estimate(name, estimate)
    return {
        **{name: estimate._asdict() for name, estimate in bounds.items()},
        "nats_of_independent_pixels": nats_of_independent_pixels(dataset),
    }


def sample(model, n, seed):
    return model.sample(n, seed=seed)
