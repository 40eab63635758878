"""The self-attention GAN for the command line."""

import keras
import numpy as np

from tfattn import plots
from tfattn.cli.systems.common import add_mixed_precision, dtype_of, write_epoch_figure
from tfattn.evaluation import metrics
from tfattn.models import SelfAttentionGAN, TwoTimeScaleOptimizer, load_pretrained
from tfattn.training.runs import write_figure

BATCH_SIZE = 64
EPOCHS = 13
DATA = ("mnist", "fashion_mnist", "digits")
PICTURES = {
    "samples.png": "new images, a row for each class",
    "attention.png": "where the generator looks when it draws the pixel at the cross",
}
# Digits vary in far fewer ways than photographs: with 128 latents their distance to
# real ones falls more slowly.
LATENT_DIM = 32
# Of the images that are judged and shown: slightly shorter latents give more images
# that are recognised, and slightly fewer kinds.
TEMPERATURE = 0.97
SAMPLE_SEED = 0
NUM_REPEATS = 3


def add_arguments(parser):
    parser.add_argument(
        "--attention",
        choices=["self", "gate", "residual", "uniform", "none"],
        default="self",
    )
    add_mixed_precision(parser)


def build(dataset, arguments):
    return SelfAttentionGAN(
        dataset.x_train.shape[1:],
        latent_dim=LATENT_DIM,
        num_classes=int(dataset.y_train.max()) + 1,
        attention=None if arguments.attention == "none" else arguments.attention,
        seed=arguments.seed,
        dtype=dtype_of(arguments),
    )


def training_arrays(dataset, model):
    return ((dataset.x_train, dataset.y_train),)


def compile_model(model, num_steps):
    """The generator's rate falls along a cosine while the discriminator's stays.

    The discriminator has to follow a generator that settles. If both rates fall, it
    comes to tell all images apart, and the generator learns no more from it.
    """
    falling = keras.optimizers.schedules.CosineDecay(2e-4, num_steps, alpha=0.05)
    generator, discriminator = (
        keras.optimizers.Adam(rate, beta_1=0.0, beta_2=0.99) for rate in (falling, 8e-4)
    )
    model.compile(TwoTimeScaleOptimizer(generator, discriminator))


def epoch_measurements(model):
    """γ of each attention layer and the largest σ of each network's kernels."""
    found = {f"gamma_{name}": gamma for name, gamma in model.gammas().items()}
    for path, sigma in model.largest_singular_values().items():
        name = f"sigma_{path.partition('/')[0]}"
        found[name] = max(found.get(name, 0.0), sigma)
    return found


def describe(row):
    gammas = [f"{row[k]:+.3f}" for k in row if k.startswith("gamma_")]
    sigmas = [f"{row[k]:.2f}" for k in row if k.startswith("sigma_")]
    return (
        f"losses: discriminator {row['discriminator_loss']:.3f}, generator "
        f"{row['generator_loss']:.3f}; γ: {', '.join(gammas) or 'none'}; "
        f"largest σ: {', '.join(sigmas)}"
    )


def draw_epoch(model, run, epoch):
    figure = plots.image_grid(_sheet(model), title=f"the same noise, epoch {epoch}")
    write_epoch_figure(run, epoch, figure)


def draw(model, dataset, run):
    figure = plots.image_grid(_sheet(model), title="a row for each class")
    write_figure(run / "samples.png", figure)
    if model.attention != "self":
        return
    labels = np.arange(min(6, model.num_classes))
    latents = model.sample_latents(len(labels), seed=SAMPLE_SEED)
    figure = plots.attention_figure(
        model.generate_from(latents, labels),
        model.attention_maps(latents, labels),
        title="where the generator looks when it draws the pixel at the cross",
    )
    write_figure(run / "attention.png", figure)


def measure(model, dataset):
    return _quality_of_repeats(model, dataset, num_repeats=1)


def evaluate(model, dataset, arguments):
    return _quality_of_repeats(model, dataset, NUM_REPEATS)


def sample(model, n, seed):
    return model.generate(n, np.arange(n) % model.num_classes, seed, TEMPERATURE)


def quality(classifier, x_test, images, labels):
    """Every number by which generated images are judged.

    Args:
        classifier: The frozen classifier of the data set.
        x_test: Real images (n, h, w, c).
        images: Generated images (m, h, w, c).
        labels: The classes (m,) that they were asked to be, or `None`.

    Returns:
        Dictionary from a measure's name to its value.
    """
    real, generated = classifier.features(x_test), classifier.features(images)
    found = {
        "frechet_distance": metrics.frechet_distance(real, generated),
        "kernel_distance": metrics.kernel_distance(real, generated).value,
        **metrics.precision_recall(real, generated)._asdict(),
    }
    if labels is not None:
        found["recognised"] = float(np.mean(classifier.classify(images) == labels))
    return found


def _quality_of_repeats(model, dataset, num_repeats):
    if dataset.name == "digits":
        return {"protocol": "no classifier for this data set, so nothing was measured"}
    classifier = load_pretrained(f"classifier_{dataset.name}")
    n = len(dataset.x_test)
    repeats = []
    for seed in range(num_repeats):
        print(f"judging draw {seed + 1} of {num_repeats}", flush=True)
        # Classes are as frequent as among the training images, whose distance to the
        # test images is the floor.
        labels = np.random.default_rng(seed).choice(dataset.y_train, n)
        images = model.generate(n, labels, seed, TEMPERATURE)
        repeats.append(quality(classifier, dataset.x_test, images, labels))
    found = metrics.spread(repeats)
    for name, values in found.items():
        print(
            f"test {name}: {values['mean']:.4f} "
            f"({values['lowest']:.4f} to {values['highest']:.4f}, "
            f"{num_repeats} draws)",
            flush=True,
        )
    protocol = (
        f"{n} generated images, classes drawn from the training labels, against the "
        f"{n} test images, on features of the frozen classifier; {num_repeats} draws, "
        f"temperature {TEMPERATURE}"
    )
    chosen = np.random.default_rng(0).permutation(len(dataset.x_train))[:n]
    of_real = metrics.frechet_distance(
        classifier.features(dataset.x_test),
        classifier.features(dataset.x_train[chosen]),
    )
    return {
        "protocol": protocol,
        **found,
        "frechet_distance_of_real_images": float(of_real),
    }


def in_words(result):
    if "frechet_distance" not in result:
        return (
            "Nothing was measured: no classifier for this data set is in the package. "
            "Look at the pictures."
        )
    return (
        "The generated images have the Fréchet distance "
        f"{result['frechet_distance']['mean']:.2f} from the test images, on the "
        "features of a classifier. Smaller is better. Real training images have "
        f"{result['frechet_distance_of_real_images']:.2f}. The classifier recognises "
        f"{result['recognised']['mean']:.1%} of the generated images as the class that "
        "they were generated for."
    )


def _sheet(model):
    """Images of the same noise always: (classes, 10, h, w, c)."""
    rows = model.num_classes
    labels = np.repeat(np.arange(rows), 10)
    images = model.generate(10 * rows, labels, SAMPLE_SEED, TEMPERATURE)
    return images.reshape(rows, 10, *model.image_shape)
