"""Where the time of chunked attention goes, part by part, beside the plain form.

The steps of `tfattn.ops.chunked_attention` in the order in which they are computed,
each row of the profile with one step more, on a 64×64 map of 4 images with
8-dimensional keys and 32-dimensional values, in chunks of 64 queries, in graph mode.
All rows are timed in turn in one process, so that all meet the same machine.

    python benchmarks/self_attention_profile.py

writes benchmarks/results/self_attention_profile.json.

One row is no part of either: the chunked form multiplies as many pairs of numbers as
one 2048×2048 matrix product does, and that product is what the processor does best.
With TensorFlow's products and softmax, this row and two softmaxes are the least.
"""

import json
import os
import statistics
import time
from pathlib import Path

import keras
import tensorflow as tf

from tfattn.ops import attention, chunked_attention

BATCH, POSITIONS, ROWS, KEY_CHANNELS, VALUE_CHANNELS = 4, 64 * 64, 64, 8, 32
ROUNDS = 15
FORWARD = ("scores", "softmax", "output")
BACKWARD = ("scores", "softmax", "d_a", "d_scores", "d_value", "d_key", "d_query")


def tensor(rows, channels, seed):
    return keras.random.normal((BATCH, rows, channels), seed=seed)


def transposed(x):
    return tf.transpose(x, (0, 2, 1))


def steps_up_to(names, query, key, value, d_output):
    """The first steps of a pass over all chunks; returns something of each."""

    def chunk(i, total):
        rows = slice(i * ROWS, (i + 1) * ROWS)
        q, d_o = query[:, rows], d_output[:, rows]
        made = {"scores": q @ transposed(key)}
        if "softmax" in names:
            made["softmax"] = tf.nn.softmax(made["scores"])
        if "output" in names:
            made["output"] = made["softmax"] @ value
        if "d_a" in names:
            made["d_a"] = d_o @ transposed(value)
        if "d_scores" in names:
            a, d_a = made["softmax"], made["d_a"]
            made["d_scores"] = a * (d_a - tf.reduce_sum(a * d_a, -1, keepdims=True))
        if "d_value" in names:
            made["d_value"] = transposed(d_o) @ made["softmax"]
        if "d_key" in names:
            made["d_key"] = transposed(q) @ made["d_scores"]
        if "d_query" in names:
            made["d_query"] = made["d_scores"] @ key
        # Nothing is left out because nobody asks for it.
        return i + 1, total + sum(x[0, 0, 0] for x in made.values())

    return tf.while_loop(
        lambda i, _: i < POSITIONS // ROWS, chunk, (0, 0.0), parallel_iterations=1
    )[1]


def training_step(function):
    def step(query, key, value, d_output):
        with tf.GradientTape() as tape:
            tape.watch((query, key, value))
            output = function(query, key, value)
        return tape.gradient(output, (query, key, value), output_gradients=d_output)

    return step


def products(query, key, value):
    return (query @ transposed(key)) @ value


def square_product(query, key, value, d_output):
    # Seven products: four over the keys' channels, three over the values'.
    channels = 4 * KEY_CHANNELS + 3 * VALUE_CHANNELS
    side = round((BATCH * POSITIONS**2 * channels) ** (1 / 3))
    rows = tf.reshape(value, (side, -1))
    x = tf.tile(rows, (1, side // rows.shape[1]))  # of the inputs: not a constant
    return (x @ x)[0, 0]


def main():
    cases = {
        "plain form": training_step(lambda *qkv: attention(*qkv)[0]),
        "its matrix products alone": training_step(products),
        "a square product of as many multiplications": square_product,
        "chunked form": training_step(lambda *qkv: chunked_attention(*qkv, ROWS)),
    }
    for name, names in (("forward", FORWARD), ("backward", BACKWARD)):
        for last in range(1, len(names) + 1):
            cases[f"{name}, up to {names[last - 1]}"] = (
                lambda *inputs, names=names[:last]: steps_up_to(names, *inputs)
            )
    compiled = {name: tf.function(function) for name, function in cases.items()}
    inputs = [
        tensor(POSITIONS, channels, seed)
        for seed, channels in enumerate(
            (KEY_CHANNELS, KEY_CHANNELS, VALUE_CHANNELS, VALUE_CHANNELS)
        )
    ]
    milliseconds = {name: [] for name in cases}
    for number in range(ROUNDS + 1):
        for name, function in compiled.items():
            started = time.perf_counter()
            tf.nest.map_structure(lambda t: t.numpy(), function(*inputs))
            if number:  # the first round compiles
                milliseconds[name].append(1e3 * (time.perf_counter() - started))
    result = {
        "protocol": (
            f"{ROUNDS} rounds of all rows in turn in one process, graph mode, "
            f"{BATCH} images of {POSITIONS} positions, chunks of {ROWS} queries; "
            "milliseconds: median and quartiles; rows of one pass are cumulative"
        ),
        "machine": f"{os.cpu_count()} CPU cores",
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "milliseconds": {
            name: dict(
                zip(
                    ("lower", "median", "upper"),
                    statistics.quantiles(values, n=4),
                    strict=True,
                )
            )
            for name, values in milliseconds.items()
        },
    }
    path = Path(__file__).parent / "results" / "self_attention_profile.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result["milliseconds"].items():
        print(f"{name:44}{value['median']:8.1f} ms")


if __name__ == "__main__":
    main()
