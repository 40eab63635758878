"""Batches as TensorFlow takes them."""

import keras
import numpy as np
from conftest import on_tensorflow

from tfattn.training import ShuffledBatches
from tfattn.training.batches import untuned


def batches():
    """Of 11 images and their texts."""
    x = np.random.default_rng(0).random((11, 2, 3, 1), "float32")
    return ShuffledBatches((x, np.array([f"text {i}" for i in range(11)])), 4, seed=3)


@on_tensorflow
def test_the_same_batches_in_each_epoch():
    made, orders = batches(), []
    dataset = untuned(made)
    assert dataset.cardinality() == len(made) == 2
    for epoch in range(2):
        made.set_epoch(epoch)
        found = list(dataset)
        assert len(found) == 2
        for index, (x, texts) in enumerate(found):
            expected_x, expected_texts = made[index]
            np.testing.assert_array_equal(x.numpy(), expected_x)
            assert [text.decode() for text in texts.numpy()] == [*expected_texts]
        orders.append(np.concatenate([x.numpy() for x, _ in found]))
    assert np.any(orders[0] != orders[1])


@on_tensorflow
def test_no_epoch_waits_for_a_thread_that_tunes():
    """TensorFlow's sleeps longer and longer, and an epoch ends when it wakes up."""
    assert untuned(batches()).options().autotune.enabled is False


def test_other_backends_take_them_as_they_are():
    made = batches()
    assert keras.backend.backend() == "tensorflow" or untuned(made) is made
