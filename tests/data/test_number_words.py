import numpy as np
import pytest

from tfattn.data.number_words import (
    HELD_OUT_PAIRS,
    TRAINING_PAIRS,
    WORDS,
    draw_pairs,
    names_of,
    recognized,
)

# Images that tell their digit and their number.
Y = np.repeat(np.arange(10), 4)
X = np.zeros((40, 2, 3, 1), "float32")
X[:, 0, 0, 0], X[:, 1, 1, 0] = Y, np.arange(40)


def test_held_out_pairs_are_balanced_and_apart():
    held_out, training = (
        {tuple(pair) for pair in pairs} for pairs in (HELD_OUT_PAIRS, TRAINING_PAIRS)
    )
    assert len(held_out) == 20 and len(training) == 80
    assert not held_out & training
    for side in (0, 1):
        assert np.bincount(HELD_OUT_PAIRS[:, side]).tolist() == [2] * 10


def test_both_digits_must_be_recognized_on_their_sides():
    class Reader:
        def classify(self, images):
            return images[:, 0, 0, 0].astype(int)

    images, pairs = draw_pairs(X, Y, [(4, 2)], 4, seed=1)
    pairs = pairs + np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
    assert recognized(Reader(), images, pairs).tolist() == [True, False, False, False]
    assert not recognized(Reader(), images, pairs[:, ::-1]).any()


def test_images_show_their_pairs():
    images, pairs = draw_pairs(X, Y, HELD_OUT_PAIRS, 60, seed=1)
    assert images.shape == (60, 2, 6, 1) and images.dtype == np.float32
    for image, (left, right) in zip(images, pairs, strict=True):
        assert image[0, 0, 0] == left and image[0, 3, 0] == right
        for side, digit in ((image[:, :3], left), (image[:, 3:], right)):
            assert Y[int(side[1, 1, 0])] == digit
    # As often one pair as another, in no order; other images of the same digit.
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    assert len(found) == 20 and set(counts) == {3}
    assert np.any(pairs[:20] != HELD_OUT_PAIRS)
    of_three = images[pairs[:, 0] == 3, 1, 1, 0]
    assert len(set(of_three)) > 1
    again, _ = draw_pairs(X, Y, HELD_OUT_PAIRS, 60, seed=1)
    np.testing.assert_array_equal(again, images)
    other, _ = draw_pairs(X, Y, HELD_OUT_PAIRS, 60, seed=2)
    assert np.any(other != images)


def test_names():
    assert names_of(np.array([[4, 2], [0, 9]])).tolist() == ["four two", "zero nine"]
    assert len(set(WORDS)) == 10


def test_missing_digits_are_refused():
    with pytest.raises(ValueError, match=r"none of \[9\]"):
        draw_pairs(X[:36], Y[:36], HELD_OUT_PAIRS, 5, seed=0)
    with pytest.raises(ValueError, match="`n` to be an integer"):
        draw_pairs(X, Y, HELD_OUT_PAIRS, 0, seed=0)
