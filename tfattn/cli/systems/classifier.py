"""The classifier on whose features generated images are judged."""

import keras
import numpy as np

from tfattn import data, plots
from tfattn.cli.systems.common import TEST_DRAW_SEED, binarisation
from tfattn.models import ImageClassifier, classifier_optimizer
from tfattn.training.runs import write_figure

BATCH_SIZE = 128
EPOCHS = 16
DATA = ("mnist", "fashion_mnist", "digits")
PICTURES = {"errors.png": "misclassified test images: true class → predicted class"}


def add_arguments(parser):
    parser.add_argument(
        "--binarize",
        action="store_true",
        help="a judge of black and white images: pixels are drawn in each step",
    )


def build(dataset, arguments):
    return ImageClassifier(
        dataset.x_train.shape[1:],
        num_classes=int(dataset.y_train.max()) + 1,
        # Clothes have no left and right, digits have.
        flip=dataset.name == "fashion_mnist",
        binarize=arguments.binarize,
        seed=arguments.seed,
    )


def training_arrays(dataset, model):
    return dataset.x_train, dataset.y_train


def compile_model(model, num_steps):
    model.compile(
        classifier_optimizer(num_steps),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)


def epoch_measurements(model):
    return {}


def describe(row):
    return f"cross-entropy {row['loss']:.4f}, training accuracy {row['accuracy']:.2%}"


def draw_epoch(model, run, epoch):
    """Nothing: there is nothing to see before the end."""


def measure(model, dataset):
    accuracy = float(np.mean(model.classify(_judged(model, dataset)) == dataset.y_test))
    print(f"test accuracy: {accuracy:.2%}", flush=True)
    protocol = f"all {len(dataset.x_test)} test images, once, after training"
    if model.binarize:
        protocol += f"; {binarisation(dataset.name)}"
    return {"protocol": protocol, "accuracy": accuracy}


def in_words(result):
    return (
        f"The classifier gives {result['accuracy']:.2%} of the test images their true "
        "class."
    )


def draw(model, dataset, run):
    """The test images that it gets wrong, with what it takes them for."""
    x = _judged(model, dataset)
    found = model.classify(x)
    wrong = np.flatnonzero(found != dataset.y_test)[:40]
    images = np.ones((4, 10, *model.image_shape), "float32")
    images.reshape(40, *model.image_shape)[: len(wrong)] = x[wrong]
    titles = [
        " ".join(f"{dataset.y_test[i]}→{found[i]}" for i in wrong[start : start + 10])
        for start in range(0, 40, 10)
    ]
    figure = plots.image_grid(images, titles, "test images that it gets wrong")
    write_figure(run / "errors.png", figure)


def evaluate(model, dataset, arguments):
    return measure(model, dataset)


def _judged(model, dataset):
    """Test images as the classifier is to see them."""
    x = dataset.x_test
    return data.binarize(x, TEST_DRAW_SEED) if model.binarize else x


def sample(model, n, seed):
    raise ValueError(
        "A classifier draws no images. Expected the run of another system."
    )
