"""The image Transformer for the command line."""

import keras
import numpy as np

from tfattn import data, plots
from tfattn.cli.systems.common import (
    TEST_DRAW_SEED,
    add_mixed_precision,
    binarisation,
    dtype_of,
    nats_and_bits,
    nats_of_independent_pixels,
    print_estimate,
    warmup_cosine,
    write_epoch_figure,
)
from tfattn.data import number_words
from tfattn.evaluation import metrics
from tfattn.models import ImageTransformer, load_pretrained, pretrained_results
from tfattn.training.runs import write_figure

BATCH_SIZE = 64
EPOCHS = 18
DATA = ("mnist", "fashion_mnist", "binarized_mnist", "digits")
PICTURES = {
    "samples.png": "100 new images, sampled from the model",
    "attention.png": "which pixels, or words, the model attends to",
    "completions.png": "upper halves of test images, and how the model completes them",
}
NUM_TRAINING_PAIRS = 30_000
NUM_TEST_PAIRS = 2_000
# The first was trained on black and white images, the second on grey ones.
JUDGES = ("classifier_binarized_mnist", "classifier_mnist")
SAMPLE_SEED = 0


def add_arguments(parser):
    parser.add_argument(
        "--condition",
        choices=["none", "class", "text"],
        default="none",
        help="text: images of two digits, described by their names",
    )
    add_mixed_precision(parser)


def build(dataset, arguments):
    h, w, c = dataset.x_train.shape[1:]
    of_condition = {}
    if arguments.condition != "none" and dataset.y_train is None:
        raise ValueError(
            f"Expected a data set with labels for --condition {arguments.condition}. "
            f"Received: {dataset.name}"
        )
    if arguments.condition == "class":
        of_condition = {
            "condition": "class",
            "num_classes": int(dataset.y_train.max()) + 1,
        }
    elif arguments.condition == "text":
        of_condition = {
            "condition": "text",
            "vocabulary": number_words.WORDS,
            "max_words": 2,
        }
    return ImageTransformer(
        (h, 2 * w if arguments.condition == "text" else w, c),
        seed=arguments.seed,
        dtype=dtype_of(arguments),
        **of_condition,
    )


def training_arrays(dataset, model):
    if model.condition is None:
        return (dataset.x_train,)
    if model.condition == "class":
        return ((dataset.x_train, dataset.y_train),)
    images, pairs = number_words.draw_pairs(
        dataset.x_train,
        dataset.y_train,
        number_words.TRAINING_PAIRS,
        NUM_TRAINING_PAIRS,
        model.seed,
    )
    return ((images, number_words.names_of(pairs)),)


def compile_model(model, num_steps):
    """AdamW with a warm-up and a cosine decay to nothing over `num_steps` steps."""
    schedule = warmup_cosine(2e-3, num_steps)
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.01, beta_2=0.98, clipnorm=50.0)
    )
    model.optimizer.build(model.trainable_variables)


def epoch_measurements(model):
    return {}


def describe(row):
    return f"−log p {row['loss']:.2f} nats"


def draw_epoch(model, run, epoch):
    write_epoch_figure(run, epoch, _sheet(model, 4, 8, f"epoch {epoch}"))


def draw(model, dataset, run):
    write_figure(run / "samples.png", _sheet(model, 10, 10, "sampled from the model"))
    x, condition = _test_set(model, dataset)
    x, condition = x[:4], None if condition is None else condition[:4]
    own, cross = model.attention_maps(x, condition)
    if model.condition == "text":
        # (n, layers, heads, tokens, words) to a map for each word.
        maps = np.moveaxis(cross.mean(axis=(1, 2)), 2, 1)
        figure = plots.weight_figure(
            x,
            maps.reshape(4, model.max_words, *model.tokens.grid[:2]),
            [f"word {i + 1}" for i in range(model.max_words)],
            title="which parts of an image read which word",
        )
    else:
        grid = model.tokens.grid[:2]
        figure = plots.attention_figure(
            x,
            own.mean(axis=(1, 2)).reshape(4, *grid, *grid),
            title="where the model looks when it predicts the pixel at the cross",
        )
    write_figure(run / "attention.png", figure)
    visible = np.zeros(model.image_shape[:2], bool)
    visible[: model.image_shape[0] // 2] = True
    completions = model.complete(x, visible, 6, condition, seed=SAMPLE_SEED)
    title = "whole, upper half, completions of it"
    write_figure(
        run / "completions.png",
        plots.completion_figure(x, visible, completions, title),
    )


def measure(model, dataset):
    x, condition = _test_set(model, dataset)
    estimate = metrics.mean_estimate(-model.log_likelihood(x, condition))
    print_estimate("negative_log_likelihood", estimate)
    # An image of the text condition is made of two, each with pixels of its own.
    num_images = model.image_shape[1] // dataset.x_test.shape[2]
    return {
        "protocol": _protocol(model, dataset.name),
        "negative_log_likelihood": estimate._asdict(),
        "nats_of_independent_pixels": num_images * nats_of_independent_pixels(dataset),
        "bits_per_dimension": metrics.bits_per_dimension(
            estimate.value, model.image_shape
        ),
    }


def in_words(result):
    words = (
        "On average, the model needs "
        f"{nats_and_bits(result['negative_log_likelihood']['value'])} to encode a test "
        "image. Fewer is better. A model that knows only how often each pixel is white "
        f"needs {result['nats_of_independent_pixels']:.1f} nats."
    )
    if result["data"] == "mnist" and result["condition"] == "none":
        shipped = pretrained_results("transformer_mnist")
        words += (
            f" The Transformer in this package, trained for {shipped['epochs']} "
            f"epochs, needs {shipped['negative_log_likelihood']['value']:.1f} nats."
        )
    return words


def evaluate(model, dataset, arguments):
    """The same, and with texts whether classifiers recognise what they ask for."""
    found = measure(model, dataset)
    if model.condition != "text" or dataset.name != "mnist":
        return found
    images, pairs = _test_pairs(dataset)
    real = data.binarize(images, TEST_DRAW_SEED)
    drawn = model.generate(len(pairs), number_words.names_of(pairs), seed=SAMPLE_SEED)
    for judge in JUDGES:
        classifier = load_pretrained(judge)
        for name, images in (("real", real), ("generated", drawn)):
            right = number_words.recognised(classifier, images, pairs)
            estimate = metrics.mean_estimate(right)
            found[f"recognised_{name}_by_{judge}"] = estimate._asdict()
            print(
                f"both digits of {name} images recognised by {judge}: "
                f"{estimate.value:.2%}"
            )
    return found


def sample(model, n, seed):
    return model.generate(n, _conditions(model, n), seed=seed)


def _sheet(model, rows, columns, title):
    """Images drawn from the model, each row for a condition of its own, if any."""
    conditions = _conditions(model, rows)
    names = None
    if conditions is not None:
        names = [str(condition) for condition in conditions]
        conditions = conditions.repeat(columns)
    images = model.generate(rows * columns, conditions, seed=SAMPLE_SEED)
    return plots.image_grid(
        images.reshape(rows, columns, *model.image_shape), names, title
    )


def _conditions(model, n):
    """n conditions to draw images for, in turn."""
    if model.condition == "class":
        return np.arange(n) % model.num_classes
    if model.condition == "text":
        pairs = number_words.HELD_OUT_PAIRS
        return number_words.names_of(pairs[np.arange(n) % len(pairs)])
    return None


def _test_set(model, dataset):
    """Test images of the model's levels, and their condition."""
    images, condition = dataset.x_test, None
    if model.condition == "class":
        condition = dataset.y_test
    elif model.condition == "text":
        images, pairs = _test_pairs(dataset)
        condition = number_words.names_of(pairs)
    return data.binarize(images, TEST_DRAW_SEED), condition


def _test_pairs(dataset):
    return number_words.draw_pairs(
        dataset.x_test,
        dataset.y_test,
        number_words.HELD_OUT_PAIRS,
        NUM_TEST_PAIRS,
        TEST_DRAW_SEED,
    )


def _protocol(model, name):
    words = f"exact; {binarisation(name)}"
    if model.condition == "text":
        words += (
            "; images of two digits, training and test from different images "
            f"of digits and other pairs ({len(number_words.HELD_OUT_PAIRS)} of 100 "
            "held out)"
        )
    return words
