"""What a training step of the image Transformer costs, beside Keras's own layers.

The same `ImageTransformer` twice, once with decoder layers that are built of
`keras.layers.MultiHeadAttention`; training steps in turn in one process, peak memory
in a process each. Then for tables of several sizes the input vectors as a product with
one-hot vectors and by look-ups, see `MOST_ROWS_AS_PRODUCT`.

    python benchmarks/transformer_training.py

writes benchmarks/results/transformer_training.json.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tfattn.layers import TransformerDecoderLayer
from tfattn.models import ImageTransformer
from tfattn.models.transformer import decoder

BATCH_SIZE, ROUNDS, MEMORY_STEPS = 64, 30, 5
KINDS = ("tfattn", "Keras's layers")
# Of the comparison of input vectors: arguments of `ImageTransformer`.
TABLES = (
    {"levels": 2, "order": "coarse_to_fine"},
    {"levels": 2, "order": "raster"},
    {"levels": 8, "order": "coarse_to_fine"},
    {"levels": 3, "order": "raster"},
    {"levels": 4, "order": "raster"},
)
TABLE_ROUNDS = 12


class KerasDecoderLayer(layers.Layer):
    """What `TransformerDecoderLayer` computes without a context, of Keras's layers."""

    def __init__(self, num_heads, intermediate_dim, dropout):
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = layers.LayerNormalization(epsilon=1e-5)
        self.feed_forward_norm = layers.LayerNormalization(epsilon=1e-5)
        self.expand = layers.Dense(intermediate_dim)

    def build(self, x_shape, context_shape):
        width = x_shape[-1]
        self.attention = layers.MultiHeadAttention(
            self.num_heads, width // self.num_heads
        )
        self.contract = layers.Dense(width)
        self.attention.build(x_shape, x_shape)
        for layer in (self.attention_norm, self.feed_forward_norm, self.expand):
            layer.build(x_shape)
        self.contract.build((*x_shape[:-1], self.expand.units))

    def call(self, x, context, context_mask=None, training=None):
        y = self.attention_norm(x)
        x = x + self.attention(y, y, use_causal_mask=True, training=training)
        y = ops.square(ops.relu(self.expand(self.feed_forward_norm(x))))
        return x + self.contract(y)


def compiled_step(kind=KINDS[0], **arguments):
    """The function that trains on one batch, and the model."""
    keras.utils.set_random_seed(0)
    layer = TransformerDecoderLayer if kind == KINDS[0] else KerasDecoderLayer
    with mock.patch.object(decoder, "TransformerDecoderLayer", layer):
        model = ImageTransformer(**arguments)
    model.compile(keras.optimizers.AdamW(1e-3))
    step = tf.function(lambda x: model.train_step((x,)))
    batch = tf.constant(
        np.random.default_rng(0).random((BATCH_SIZE, *model.image_shape), "float32")
    )
    return lambda: float(step(batch)["loss"]), model


def peak_memory(kind):
    """MiB that a process needs at most beyond what it needs before the first step."""
    step, _ = compiled_step(kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(MEMORY_STEPS):
        step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def in_turn(steps, rounds):
    """Milliseconds of each step by its name, and quartiles of their ratio."""
    milliseconds = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            milliseconds[name].append(1e3 * (time.perf_counter() - started))
    ratios = [a / b for a, b in zip(*milliseconds.values(), strict=True)]
    lower, median, upper = statistics.quantiles(ratios, n=4)
    ratio = {"median": median, "lower": lower, "upper": upper}
    return {k: statistics.median(v) for k, v in milliseconds.items()}, ratio


def input_vectors(arguments):
    """The ratio of a step with a product to one with look-ups."""
    steps = {}
    for name, most_rows in (("product", 10**9), ("look-ups", 0)):
        with mock.patch.object(decoder, "MOST_ROWS_AS_PRODUCT", most_rows):
            steps[name], model = compiled_step(**arguments)
            steps[name]()  # compiles
    rows = model.network.token_embedding.input_dim
    _, ratio = in_turn(steps, TABLE_ROUNDS)
    print(arguments, rows, ratio, flush=True)
    return {**arguments, "rows": rows, "ratio": ratio}


def main():
    # First, for a process begins with the peak of the one that starts it.
    memory = {
        kind: float(
            subprocess.run(
                [sys.executable, __file__, kind],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.splitlines()[-1]
        )
        for kind in KINDS
    }
    steps, parameters = {}, {}
    for kind in KINDS:
        steps[kind], model = compiled_step(kind)
        steps[kind]()  # compiles
        parameters[kind] = model.count_params()
    milliseconds, ratio = in_turn(steps, ROUNDS)
    result = {
        "protocol": (
            f"steps of {BATCH_SIZE} binary images of 28×28 (196 tokens, "
            f"{model.num_layers} layers, width {model.width}), float32, graph mode; "
            f"{ROUNDS} steps of each in turn, ratio of neighbors, median and "
            f"quartiles; memory: peak of a process of its own over {MEMORY_STEPS} "
            "steps, beyond what it needed before them"
        ),
        "machine": f"{os.cpu_count()} CPU cores",
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "parameters": parameters,
        "milliseconds": milliseconds,
        "ratio": ratio,
        "peak_memory_mib": memory,
        "input_vectors": {
            "protocol": f"steps of {BATCH_SIZE} images of 28×28, as above, "
            f"{TABLE_ROUNDS} of each way in turn; ratio of a step with a product to "
            "one with look-ups, median and quartiles",
            "tables": [input_vectors(arguments) for arguments in TABLES],
        },
    }
    path = Path(__file__).parent / "results" / "transformer_training.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(peak_memory(sys.argv[1]))
    else:
        main()
