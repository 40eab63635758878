"""What the captioner in the package writes, and what each word depends on.

    python benchmarks/captioner.py

writes results/captioner.json: how often texts are right, on held-out pairs of digits
and beside two classifiers in a row; what happens to each word when half of the image
is hidden; where each word attends to; and words that become images and words again.
"""

import platform
from pathlib import Path

import numpy as np

from tfattn import data
from tfattn.data import number_words
from tfattn.evaluation import metrics
from tfattn.models import load_pretrained
from tfattn.training.runs import write_json

RESULTS = Path(__file__).parent / "results" / "captioner.json"
BEAM_WIDTH = 8
SEED = 0


def share(right):
    return metrics.mean_estimate(np.asarray(right, "float64"))._asdict()


def right_words(model, x, texts, **options):
    """Whether each word is right (n, max_words)."""
    found, expected = (
        model.tokenizer.tokenize(written)
        for written in (model.describe(x, **options)[:, 0], texts)
    )
    return found == expected


def of_digits():
    """`captioner_mnist`, on pairs of test digits."""
    model, mnist = load_pretrained("captioner_mnist"), data.load("mnist")
    x, pairs = number_words.held_out_images(mnist.x_test, mnist.y_test)
    texts = number_words.names_of(pairs)
    seen, seen_pairs = number_words.training_images(
        mnist.x_test, mnist.y_test, len(x), SEED
    )
    seen_texts = number_words.names_of(seen_pairs)
    half = x.shape[2] // 2
    hidden = {"left": x.copy(), "right": x.copy()}
    hidden["left"][:, :, :half] = 0
    hidden["right"][:, :, half:] = 0
    maps = model.attention_maps(x, texts).mean(axis=(1, 2))  # (n, 2, rows, columns)
    on_left = maps[..., : maps.shape[-1] // 2].sum(axis=(-2, -1))
    drawn = load_pretrained("transformer_words").generate(len(texts), texts, seed=SEED)
    classifiers = {
        name: load_pretrained(name)
        for name in ("classifier_mnist", "classifier_binarized_mnist")
    }
    binary = data.binarize(x, SEED)
    found = {
        "protocol": f"{len(x)} images of {number_words.WORDS_ON_TEST_PAIRS}; greedy "
        "search; a hidden half is black; intervals: 95 %, over images",
        "right": share(right_words(model, x, texts).all(axis=1)),
        "beam_width": BEAM_WIDTH,
        "right, by a beam": share(
            right_words(model, x, texts, beam_width=BEAM_WIDTH).all(axis=1)
        ),
        "right, two classifiers in a row": share(
            number_words.recognized(classifiers["classifier_mnist"], x, pairs)
        ),
        "right, pairs that training shows": share(
            right_words(model, seen, seen_texts).all(axis=1)
        ),
        "right, black and white": share(right_words(model, binary, texts).all(axis=1)),
        "nats": metrics.mean_estimate(-model.log_likelihood(x, texts))._asdict(),
        "weight on the left half": {
            word: share(on_left[:, i]) for i, word in enumerate(("first", "second"))
        },
        "round trip": share(right_words(model, drawn, texts).all(axis=1)),
        "round trip, a classifier in its place": share(
            number_words.recognized(
                classifiers["classifier_binarized_mnist"], drawn, pairs
            )
        ),
    }
    for side, images in hidden.items():
        right = right_words(model, images, texts)
        found[f"{side} half hidden"] = {
            word: share(right[:, i]) for i, word in enumerate(("first", "second"))
        }
    return found


def main():
    write_json(RESULTS, {"machine": platform.system(), "digits": of_digits()})


if __name__ == "__main__":
    main()
