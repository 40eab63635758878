"""What attention costs a GAN's training step, and how fast it draws.

Training steps of `SelfAttentionGAN` on 28×28 images with attention on its 14×14 maps,
and of the same networks without attention, in turn in one process, built and compiled
as `tfattn train gan` does it, in float32 and with --mixed-precision.

    python benchmarks/gan_throughput.py

writes benchmarks/results/gan_throughput.json.
"""

import json
import os
import statistics
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfattn.cli.systems.gan import LATENT_DIM
from tfattn.models import SelfAttentionGAN
from tfattn.training import recipe
from tfattn.training.recipes import RECIPES

BATCH_SIZE = RECIPES[SelfAttentionGAN].batch_size
ROUNDS, NUM_SAMPLES = 60, 5000


def compiled_step(attention, dtype):
    """The function that trains on one batch, and its model."""
    keras.utils.set_random_seed(0)
    model = SelfAttentionGAN(
        latent_dim=LATENT_DIM,
        num_classes=10,
        attention=attention,
        dtype=dtype,
    )
    recipe(model).compile(model, num_steps=1000)
    step = tf.function(lambda x, labels: model.train_step(((x, labels),)))
    return lambda batch: step(*batch)["generator_loss"].numpy(), model


def measure(dtype):
    """Times and their ratio, and how fast images are drawn."""
    rng = np.random.default_rng(0)
    batch = (
        tf.constant(rng.random((BATCH_SIZE, 28, 28, 1), "float32")),
        tf.constant(rng.integers(0, 10, BATCH_SIZE)),
    )
    steps, models = {}, {}
    for attention in ("self", None):
        steps[attention], models[attention] = compiled_step(attention, dtype)
        steps[attention](batch)  # compiles
    milliseconds = {attention: [] for attention in steps}
    for _ in range(ROUNDS):
        for attention, step in steps.items():
            started = time.perf_counter()
            step(batch)
            milliseconds[attention].append(1e3 * (time.perf_counter() - started))
    ratios = [a / b for a, b in zip(*milliseconds.values(), strict=True)]
    lower, median, upper = statistics.quantiles(ratios, n=4)

    labels = np.arange(NUM_SAMPLES) % 10
    models["self"].generate(NUM_SAMPLES, labels)  # compiles
    started = time.perf_counter()
    models["self"].generate(NUM_SAMPLES, labels)
    seconds = time.perf_counter() - started
    return {
        "milliseconds": {
            "with attention": statistics.median(milliseconds["self"]),
            "without": statistics.median(milliseconds[None]),
        },
        "ratio": {"lower": lower, "median": median, "upper": upper},
        "sampled_images_per_second": NUM_SAMPLES / seconds,
    }


def main():
    result = {
        "protocol": (
            f"{ROUNDS} rounds of both steps in turn in one process, graph mode, "
            f"batches of {BATCH_SIZE} conditional 28×28 images; ratio of neighboring "
            f"steps, median and quartiles; sampling: one call for {NUM_SAMPLES} images"
        ),
        "machine": f"{os.cpu_count()} CPU cores",
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "float32": measure(None),
        "bfloat16": measure("mixed_bfloat16"),
    }
    path = Path(__file__).parent / "results" / "gan_throughput.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
