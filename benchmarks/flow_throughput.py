"""A training step of the flow beside the same network in PyTorch.

    python benchmarks/flow_throughput.py

needs torch and a C++ compiler, and writes benchmarks/results/flow_throughput.json.
Steps of `AttentionFlow` as the command trains it, of the same model with Keras's own
attention layer in the place of `SelfAttention2D`, and of the same U-Net written in
PyTorch, as it is and by `torch.compile`, in turn in one process. The weights are
copied, all of them random, and the networks' losses on the same paths must agree. Each
step draws noise and times, drops some classes, updates by AdamW with limited gradients,
and moves the average of the weights. Peak memory: of a process of its own for each.
"""

import copy
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

# Before TensorFlow: the other way round, the import of its compiler crashes.
import torch._dynamo

# isort: split
import keras
import numpy as np
import tensorflow as tf
import torch
from torch import nn
from torch.nn import functional

from tfattn.models import AttentionFlow
from tfattn.models.flow import unet
from tfattn.models.flow.conditioning import PERIOD, TIME_CHANNELS, TIME_SCALE
from tfattn.training import recipe
from tfattn.training.recipes import RECIPES

BATCH_SIZE = RECIPES[AttentionFlow].batch_size
ROUNDS = 40
NUM_CLASSES, GROUPS, EPSILON = 10, 8, 1e-3


class KerasAttention(keras.layers.Layer):
    """x + γ · Keras's multi-head attention, one head of the sizes of ours."""

    def build(self, x_shape):
        _, self.h, self.w, c = x_shape
        self.attention = keras.layers.MultiHeadAttention(1, c // 8, value_dim=c // 2)
        self.attention.build((None, self.h * self.w, c), (None, self.h * self.w, c))
        self.gamma = self.add_weight(shape=(), initializer="zeros")

    def call(self, x):
        c = x.shape[-1]
        flat = keras.ops.reshape(x, (-1, self.h * self.w, c))
        attended = keras.ops.reshape(
            self.attention(flat, flat), (-1, self.h, self.w, c)
        )
        return x + self.gamma * attended


def flow(keras_attention=False):
    """The command's model; with `keras_attention` its attention layer is Keras's."""
    keras.utils.set_random_seed(0)
    with mock.patch.object(
        unet,
        "attention_layer",
        (lambda kind, name: KerasAttention(name=name))
        if keras_attention
        else unet.attention_layer,
    ):
        return AttentionFlow(num_classes=NUM_CLASSES)


def keras_step(model):
    """A function that trains on a batch, in graph mode."""
    recipe(model).compile(model, num_steps=1000)
    step = tf.function(lambda x, labels: model.train_step(((x, labels),)))
    return lambda x, labels: float(step(x, labels)["loss"])


class TorchUNet(nn.Module):
    """The network of `tfattn.models.flow.unet`, channels first, with its weights."""

    def __init__(self, network):
        super().__init__()
        # In the order in which `build_unet` makes them.
        convolutions, normalizations, dense = (
            iter(made(network, kind))
            for kind in (
                keras.layers.Conv2D,
                unet.ModulatedNormalization,
                keras.layers.Dense,
            )
        )

        def convolution():
            kernel, bias = next(convolutions).get_weights()
            size, _, c, filters = kernel.shape
            module = nn.Conv2d(c, filters, size, padding=0)
            return filled(module, kernel.transpose(3, 2, 0, 1), bias)

        def normalization():
            kernel, bias = next(normalizations).get_weights()
            return filled(nn.Linear(*kernel.shape), kernel.T, bias)

        def block(shortcut):
            parts = [normalization(), convolution(), normalization(), convolution()]
            return nn.ModuleList([*parts, *([convolution()] if shortcut else [])])

        def linear(layer, bias=True):
            kernel = layer.get_weights()[0]
            module = nn.Linear(*kernel.shape, bias=bias)
            return filled(module, kernel.T, *layer.get_weights()[1:])

        of_class = network.get_layer("class_embedding")
        of_time = [layer for layer in dense if layer is not of_class]
        self.time = nn.ModuleList([linear(layer) for layer in of_time])
        self.of_class = linear(of_class, bias=False)
        self.first = convolution()
        self.fine = block(False)
        self.down = convolution()
        self.coarse = block(False)
        attention = network.get_layer("attention")
        self.attention = nn.ModuleList(
            linear(getattr(attention, f"{name}_dense"), bias=False)
            for name in ("query", "key", "value", "output")
        )
        self.gamma = nn.Parameter(
            torch.tensor(float(attention.gamma.numpy().squeeze()))
        )
        self.coarse_2 = block(False)
        self.up = block(True)
        self.fine_2 = block(False)
        self.last_normalization, self.last = normalization(), convolution()
        rates = PERIOD ** (-np.arange(TIME_CHANNELS // 2) / (TIME_CHANNELS // 2))
        self.register_buffer("rates", torch.tensor(rates, dtype=torch.float32))

    def forward(self, x, t, classes):
        angles = TIME_SCALE * t[:, None] * self.rates
        vector = torch.cat([angles.cos(), angles.sin()], dim=1)
        vector = self.time[1](functional.silu(self.time[0](vector)))
        vector = functional.silu(vector + self.of_class(classes))
        x = padded(self.first, functional.pixel_unshuffle(x, 2))
        fine = x = self.block(self.fine, x, vector)
        x = functional.conv2d(  # Keras pads a stride of 2 at the end alone
            functional.pad(x, (0, 1, 0, 1)), self.down.weight, self.down.bias, stride=2
        )
        x = self.attend(self.block(self.coarse, x, vector))
        x = self.block(self.coarse_2, x, vector)
        x = torch.cat([functional.interpolate(x, scale_factor=2), fine], dim=1)
        x = self.block(self.fine_2, self.block(self.up, x, vector), vector)
        x = functional.silu(self.modulated(self.last_normalization, x, vector))
        return functional.pixel_shuffle(padded(self.last, x), 2)

    def modulated(self, linear, x, vector):
        scale, shift = linear(vector)[:, :, None, None].chunk(2, dim=1)
        return functional.group_norm(x, GROUPS, eps=EPSILON) * (1 + scale) + shift

    def block(self, parts, x, vector):
        y = padded(parts[1], functional.silu(self.modulated(parts[0], x, vector)))
        y = padded(parts[3], functional.silu(self.modulated(parts[2], y, vector)))
        return (parts[4](x) if len(parts) == 5 else x) + y

    def attend(self, x):
        flat = x.flatten(2).transpose(1, 2)
        query, key, value = (part(flat) for part in self.attention[:3])
        weights = torch.softmax(query @ key.transpose(1, 2), dim=-1)
        attended = self.attention[3](weights @ value).transpose(1, 2)
        return x + self.gamma * attended.reshape(x.shape)


def made(network, kind):
    """The layers of exactly this kind, in the order in which they were made."""
    found = [layer for layer in network.layers if type(layer) is kind]
    if kind is not keras.layers.Conv2D:
        return found
    # The functional model sorts them by depth; the last one has a name of its own.
    numbered = [layer for layer in found if layer.name != "velocity"]
    numbers = [
        int(f"0{layer.name.removeprefix('conv2d').strip('_')}") for layer in numbered
    ]
    ordered = [layer for _, layer in sorted(zip(numbers, numbered, strict=True))]
    return [*ordered, network.get_layer("velocity")]


def filled(module, weight, bias=None):
    with torch.no_grad():
        module.weight.copy_(torch.tensor(np.ascontiguousarray(weight)))
        if bias is not None:
            module.bias.copy_(torch.tensor(bias))
    return module


def padded(convolution, x):
    """Of a kernel of 3, with as much output as input."""
    return functional.conv2d(x, convolution.weight, convolution.bias, padding=1)


def torch_step(network, compile_it):
    """A function that trains on a batch, in PyTorch."""
    network = copy.deepcopy(network).to(memory_format=torch.channels_last)
    average = [weight.detach().clone() for weight in network.parameters()]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    forward = torch.compile(network) if compile_it else network

    def step(x, labels):
        noise = torch.randn_like(x)
        t = torch.sigmoid(torch.randn(len(x)))
        x = ((255 * x + torch.rand_like(x)) / 256 - 0.1307) / 0.3081
        kept = torch.rand(len(x), 1) >= 0.1
        classes = functional.one_hot(labels, NUM_CLASSES) * kept
        path = noise + t[:, None, None, None] * (x - noise)
        loss = (forward(path, t, classes.float()) - (x - noise)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        torch._foreach_lerp_(average, [w.detach() for w in network.parameters()], 0.001)
        return float(loss.detach())

    return step


def check_the_same(model, network):
    """The losses of both on the same paths, with random weights: they must agree."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 16, 28, 28, 1)).astype("float32")
    t = rng.random(16, "float32")
    classes = np.eye(16, NUM_CLASSES, dtype="float32")
    path = noise + t[:, None, None, None] * (x - noise)
    ours = np.mean((model.trained_network([path, t, classes]).numpy() - x + noise) ** 2)
    with torch.no_grad():
        theirs = network(*map(torch.tensor, (path.transpose(0, 3, 1, 2), t, classes)))
    theirs = np.mean((theirs.numpy().transpose(0, 2, 3, 1) - x + noise) ** 2)
    assert abs(ours - theirs) < 1e-4 * ours, (ours, theirs)
    return float(ours), float(theirs)


def random_weights(network):
    """No zeros, which would hide what the networks do."""
    rng = np.random.default_rng(1)
    for weight in network.weights:
        weight.assign(weight + 0.05 * rng.normal(size=weight.shape))


def build(kind):
    """The step of one kind, and the arguments of each call of it."""
    rng = np.random.default_rng(0)
    images = rng.random((BATCH_SIZE, 28, 28, 1), "float32")
    labels = rng.integers(0, NUM_CLASSES, BATCH_SIZE)
    if kind in ("tfattn", "Keras's attention"):
        batch = tf.constant(images), tf.constant(labels)
        return keras_step(flow(keras_attention=kind != "tfattn")), batch
    torch.manual_seed(0)
    step = torch_step(TorchUNet(flow().trained_network), kind == "PyTorch, compiled")
    return step, (torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels))


KINDS = ("tfattn", "Keras's attention", "PyTorch", "PyTorch, compiled")


def memory(kind):
    """MiB that a process has at its peak above what it has before the first step."""
    step, batch = build(kind)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    for _ in range(5):
        step(*batch)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10 - before


def main():
    if sys.argv[1:]:
        print(memory(sys.argv[1]))
        return
    model = flow()
    random_weights(model.trained_network)
    losses = check_the_same(model, TorchUNet(model.trained_network))
    steps = {kind: build(kind) for kind in KINDS}
    for step, batch in steps.values():
        for _ in range(3):  # compiles
            step(*batch)
    milliseconds = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind, (step, batch) in steps.items():
            started = time.perf_counter()
            step(*batch)
            milliseconds[kind].append(1e3 * (time.perf_counter() - started))
    found = {}
    for kind in KINDS:
        ratios = np.divide(milliseconds["tfattn"], milliseconds[kind])
        lower, median, upper = statistics.quantiles(ratios, n=4)
        process = [sys.executable, __file__, kind]
        peak = subprocess.run(process, capture_output=True, check=True, text=True)
        found[kind] = {
            "milliseconds": statistics.median(milliseconds[kind]),
            "time_of_tfattn_over_it": {
                "lower": lower,
                "median": median,
                "upper": upper,
            },
            "peak_mebibytes_above_start": float(peak.stdout.split()[-1]),
        }
        print(kind, found[kind], flush=True)
    content = {
        "protocol": (
            f"{ROUNDS} rounds of all steps in turn in one process, batches of "
            f"{BATCH_SIZE} images of 28×28 with classes, U-Net of width 32, float32; "
            "ratio of neighboring steps, median and quartiles; PyTorch channels last, "
            "fused AdamW, one limit for the norm of all gradients where Keras limits "
            "each"
        ),
        "losses_on_the_same_paths": {"tfattn": losses[0], "PyTorch": losses[1]},
        "machine": f"{os.cpu_count()} CPU cores",
        "versions": {
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "torch": torch.__version__,
        },
        "steps": found,
    }
    path = Path(__file__).parent / "results" / "flow_throughput.json"
    path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
