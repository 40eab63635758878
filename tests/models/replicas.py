"""A program that trains each kind of model on one device and on two.

Arguments: kinds of models. Prints the largest difference of a weight for each, as JSON.
"""

import functools
import json
import os
import sys

BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
if BACKEND == "jax":
    two = " --xla_force_host_platform_device_count=2"
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + two

import keras  # noqa: E402
import numpy as np  # noqa: E402
import small  # noqa: E402

# Keras's dropout and shifts are the same for all replicas: left out here.
small.CompletionVAE = functools.partial(small.CompletionVAE, dropout=0.0)
# The last batch is of two images and one, but on JAX of equal parts.
N = 11 if BACKEND == "tensorflow" else 10


def two_devices():
    """What gives the scope of a model that is trained on both."""
    if BACKEND == "jax":
        return keras.distribution.DataParallel(devices=["cpu:0", "cpu:1"])
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, logical)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def trained(kind):
    """The weights after three steps, and what was reported."""
    keras.utils.set_random_seed(1)
    model = small.MAKERS[kind]()
    if kind == "classifier":
        model.augmentation = []
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
    # Without graphs, whose making takes longest.
    eager = BACKEND == "tensorflow"
    model.compile(small.sgd(kind, 0.02), loss=small.loss(kind), run_eagerly=eager)
    x = np.random.default_rng(0).random((N, *small.SHAPE)).astype("float32")
    condition = small.condition(kind, N)
    history = model.fit(x, condition, batch_size=4, shuffle=False, verbose=0).history
    return [keras.ops.convert_to_numpy(weight) for weight in model.weights], history


def main(kinds):
    devices, found = two_devices(), {}
    for kind in kinds:
        one, history = trained(kind)
        with devices.scope():
            two, history_of_two = trained(kind)
        found[kind] = float(
            max(np.abs(a - b).max() for a, b in zip(one, two, strict=True))
        )
        if "loss" in history:
            np.testing.assert_allclose(history["loss"], history_of_two["loss"], 1e-5)
    with devices.scope():  # five images: more than two equal parts
        drawn = small.MAKERS["gan_by_class"]().generate(5, np.arange(5) % 3)
    assert drawn.shape == (5, *small.SHAPE)
    if BACKEND == "tensorflow":
        refuses_a_replica_without_images(devices)
    print(json.dumps(found))


def refuses_a_replica_without_images(devices):
    with devices.scope():
        model = small.compiled("vae")
    try:
        model.fit(small.images(5), batch_size=4)
    except ValueError as error:
        assert "an image for each of 2 replicas" in str(error)
    else:
        raise AssertionError("trained with a replica that has no image")


main(sys.argv[1:])
