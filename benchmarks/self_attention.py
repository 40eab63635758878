"""Time and peak memory of self-attention over feature maps, against every peer.

    python benchmarks/self_attention.py

writes benchmarks/results/self_attention.json after each round, and the figure
docs/self_attention.png. Every case runs in a process of its own, in each round; what
is compared within a round meets the same machine. All cases map x (batch, side, side,
64) to the same shape, with 8-dimensional keys, 32-dimensional values (the snippet's
have 64) and keys at all positions:

plain           SelfAttention2D with chunk_size=None: the whole map
chunked         SelfAttention2D with chunk_size="auto"
keras dpa       the same projections around keras.ops.dot_product_attention
keras mha       keras.layers.MultiHeadAttention over the flattened map
snippet         the widely copied layer of 1×1 Conv2Ds, written so that it runs
torch sdpa      torch.nn.functional.scaled_dot_product_attention, not compiled
floor           the matrix products of the plain form alone, without a softmax

Memory is the highest resident size above that before the first call at full size, so
it includes tracing and compilation.
"""

import json
import multiprocessing
import os
import platform
import statistics
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "self_attention.json"
CHANNELS, KEY_CHANNELS, VALUE_CHANNELS = 64, 8, 32
# Side of the map and images in a batch.
SIZES = ((16, 4), (32, 4), (64, 4), (96, 1), (128, 1))
KERAS_METHODS = ("plain", "chunked", "keras dpa", "keras mha", "snippet", "floor")
PASSES = ("forward", "forward+backward")
# Of each case in each round: so many timed calls, or as many as fill a second.
FEWEST_CALLS, MOST_CALLS = 5, 200
ROUNDS = 3


# --- one case, in a process of its own ----------------------------------------


def keras_layer(method):
    import keras
    from keras import ops

    from tfattn.layers import SelfAttention2D

    class Peer(SelfAttention2D):
        """The layer's weights around another core; flat query, key and value."""

        def call(self, x):
            b, h, w, c = ops.shape(x)
            flat = ops.reshape(x, (b, h * w, c))
            query, key, value = (
                dense(flat)
                for dense in (self.query_dense, self.key_dense, self.value_dense)
            )
            if method == "floor":
                scores = ops.matmul(query, ops.transpose(key, (0, 2, 1)))
                attended = ops.matmul(scores, value)
            else:
                attended = ops.dot_product_attention(
                    query[:, :, None], key[:, :, None], value[:, :, None], scale=1.0
                )[:, :, 0]
            attended = self.output_dense(attended)
            return x + self.gamma * ops.reshape(attended, (b, h, w, c))

    class FlatMultiHeadAttention(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.attention = keras.layers.MultiHeadAttention(
                1, KEY_CHANNELS, value_dim=VALUE_CHANNELS, use_bias=False
            )

        def call(self, x):
            b, h, w, c = ops.shape(x)
            flat = ops.reshape(x, (b, h * w, c))
            return x + ops.reshape(self.attention(flat, flat), (b, h, w, c))

    class Snippet(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.query = keras.layers.Conv2D(KEY_CHANNELS, 1)
            self.key = keras.layers.Conv2D(KEY_CHANNELS, 1)
            self.value = keras.layers.Conv2D(CHANNELS, 1)

        def build(self, input_shape):
            for layer in (self.query, self.key, self.value):
                layer.build(input_shape)
            self.gamma = self.add_weight(shape=(1,), initializer="ones")

        def call(self, x):
            b, h, w, c = ops.shape(x)
            query, key, value = (
                ops.reshape(layer(x), (b, h * w, layer.filters))
                for layer in (self.query, self.key, self.value)
            )
            weights = ops.softmax(ops.einsum("bnd,bmd->bnm", query, key))
            attended = ops.einsum("bnm,bme->bne", weights, value)
            return x + self.gamma * ops.reshape(attended, (b, h, w, c))

    if method == "keras mha":
        return FlatMultiHeadAttention()
    if method == "snippet":
        return Snippet()
    chunk_size = "auto" if method == "chunked" else None
    make = SelfAttention2D if method in ("plain", "chunked") else Peer
    return make(
        pool_size=1,
        spectral_norm=False,
        gamma_initializer="ones",
        chunk_size=chunk_size,
    )


def keras_step(method, with_gradient, jit_compile):
    """A function of a NumPy array that waits for its result."""
    import tensorflow as tf

    layer = keras_layer(method)
    layer.build((None, None, None, CHANNELS))

    @tf.function(jit_compile=jit_compile)
    def step(x, cotangent):
        if not with_gradient:
            return layer(x)
        variables = [v.value for v in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, [x, *variables], output_gradients=cotangent)

    def run(x, cotangent):
        results = step(tf.constant(x), tf.constant(cotangent))
        return tf.nest.map_structure(lambda t: t.numpy(), results)

    return run


def torch_step(with_gradient):
    import torch
    from torch.nn import functional

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.query = torch.nn.Linear(CHANNELS, KEY_CHANNELS, bias=False)
            self.key = torch.nn.Linear(CHANNELS, KEY_CHANNELS, bias=False)
            self.value = torch.nn.Linear(CHANNELS, VALUE_CHANNELS, bias=False)
            self.output = torch.nn.Linear(VALUE_CHANNELS, CHANNELS, bias=False)

        def forward(self, x):
            flat = x.flatten(1, 2)[:, None]  # (b, one head, n, c)
            # The fused kernel takes keys and values of one width only: zeros beside
            # the keys change no score.
            fill = (0, VALUE_CHANNELS - KEY_CHANNELS)
            attended = functional.scaled_dot_product_attention(
                functional.pad(self.query(flat), fill),
                functional.pad(self.key(flat), fill),
                self.value(flat),
                scale=1.0,
            )
            return x + self.output(attended).reshape(x.shape)

    layer = Layer()

    def run(x, cotangent):
        x = torch.from_numpy(x).requires_grad_(with_gradient)
        with torch.set_grad_enabled(with_gradient):
            y = layer(x)
        if with_gradient:
            return torch.autograd.grad(
                y, [x, *layer.parameters()], torch.from_numpy(cotangent)
            )
        return y

    return run


def resident(name):
    """VmRSS, the resident memory now, or VmHWM, its peak, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {name} in /proc/self/status; this benchmark needs Linux")


def measure(case):
    import numpy as np

    with_gradient = case["pass"] == "forward+backward"
    if case["method"] == "torch sdpa":
        step = torch_step(with_gradient)
    else:
        step = keras_step(case["method"], with_gradient, case["mode"] == "XLA")
    rng = np.random.default_rng(0)

    def inputs(side):
        shape = (case["batch"], side, side, CHANNELS)
        return [rng.normal(size=shape).astype("float32") for _ in range(2)]

    step(*inputs(4))  # loads whatever the method needs
    arrays = inputs(case["side"])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    base = resident("VmRSS")
    step(*arrays)
    milliseconds = []
    while len(milliseconds) < FEWEST_CALLS or (
        len(milliseconds) < MOST_CALLS and sum(milliseconds) < 1000
    ):
        started = time.perf_counter()
        step(*arrays)
        milliseconds.append(1e3 * (time.perf_counter() - started))
    return {"milliseconds": milliseconds, "peak_mib": resident("VmHWM") - base}


# --- all cases ----------------------------------------------------------------


def cases():
    for side, batch in SIZES:
        for which in PASSES:
            for mode in ("graph", "XLA"):
                for method in KERAS_METHODS:
                    yield {
                        "method": method,
                        "mode": mode,
                        "pass": which,
                        "side": side,
                        "batch": batch,
                    }
            yield {
                "method": "torch sdpa",
                "mode": "eager",
                "pass": which,
                "side": side,
                "batch": batch,
            }


def run_case(case):
    """`measure` in a process of its own, which inherits the imported libraries."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(measure(case)))
    process.start()
    sender.close()  # so that a child that fails leaves an end of file
    result = receiver.recv()
    process.join()
    return result


def spread(values):
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
    }


def summary(case, rounds):
    """One case over its rounds."""
    return {
        **case,
        "milliseconds": spread([statistics.median(r["milliseconds"]) for r in rounds]),
        "peak_mib": spread([r["peak_mib"] for r in rounds]),
    }


def find(results, **wanted):
    (found,) = (r for r in results if all(r[k] == v for k, v in wanted.items()))
    return found


def draw(content, path):
    """Time and memory of a training step by the size of the map."""
    import matplotlib.pyplot as plt

    results = content["cases"]
    figure, axes = plt.subplots(
        2, 2, figsize=(10, 7), sharex=True, layout="constrained"
    )
    for row, (quantity, words) in enumerate(
        (("peak_mib", "peak memory, MiB"), ("milliseconds", "time, ms"))
    ):
        for axis, mode in zip(axes[row], ("graph", "XLA"), strict=True):
            for method in (*KERAS_METHODS, "torch sdpa"):
                chosen = "eager" if method == "torch sdpa" else mode
                values = [
                    find(
                        results,
                        method=method,
                        mode=chosen,
                        side=side,
                        **{"pass": "forward+backward"},
                    )[quantity]
                    for side, _ in SIZES
                ]
                medians = [v["median"] for v in values]
                sides = [f"{side}²\n×{batch}" for side, batch in SIZES]
                axis.errorbar(
                    sides,
                    medians,
                    yerr=[
                        [v["median"] - v["lowest"] for v in values],
                        [v["highest"] - v["median"] for v in values],
                    ],
                    label=method,
                    marker="o",
                    linewidth=3 if method == "chunked" else 1.2,
                    linestyle=":" if method == "floor" else "-",
                    capsize=2,
                )
            axis.set_yscale("log")
            axis.grid(alpha=0.3)
            axis.set_ylabel(words)
            axis.set_title(f"TensorFlow, {mode}")
    for axis in axes[1]:
        axis.set_xlabel("positions × images in the batch")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper")
    figure.suptitle(f"forward and backward pass, 64 channels, {content['machine']}")
    figure.savefig(path, dpi=80)


def main():
    # Imported, but not used, before the processes divide: neither has threads yet.
    import keras
    import tensorflow
    import torch

    import tfattn  # noqa: F401

    measured = {json.dumps(case): [] for case in cases()}
    for number in range(ROUNDS):
        for case, rounds in measured.items():
            rounds.append(run_case(json.loads(case)))
            print(number, case, summary({}, rounds), flush=True)
        content = {
            "protocol": (
                f"{number + 1} rounds, in each of which every case has a process of "
                f"its own and, after a first call, {FEWEST_CALLS} timed ones, or for "
                f"up to a second up to {MOST_CALLS}; time: median over the rounds of "
                "their medians, lowest and highest of these; memory: peak resident "
                "size above that before the first call, median over the rounds"
            ),
            "machine": f"{os.cpu_count()} CPU cores, {platform.system()}",
            "versions": {
                "tensorflow": tensorflow.__version__,
                "keras": keras.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            "cases": [summary(json.loads(c), r) for c, r in measured.items()],
        }
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    draw(content, ROOT / "docs" / "self_attention.png")


if __name__ == "__main__":
    main()
