"""Training speed of AttentionVAE.fit against the same network in a custom train_step.

The peer trains the very same layers the way keras.io's VAE example does: a
`keras.Model` whose own `train_step` opens a GradientTape, adds up the losses and
updates three `Mean` trackers. Both see the same batches from `fit`, in alternating
blocks of one process, so that whatever else the machine does meets both alike.

    python benchmarks/vae_throughput.py

writes benchmarks/results/vae_throughput.json.
"""

import json
import os
import platform
import statistics
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfattn import data
from tfattn.models import AttentionVAE

BATCH_SIZE = 128
BATCHES = 90
REPEATS = 7


class CustomTrainStep(keras.Model):
    """The same encoder, decoder and prior, trained by hand."""

    def __init__(self, vae):
        super().__init__()
        self.vae = vae
        self.seed_generator = keras.random.SeedGenerator(0)
        self.total = keras.metrics.Mean(name="loss")
        self.reconstruction = keras.metrics.Mean(name="reconstruction")
        self.kl = keras.metrics.Mean(name="kl")

    @property
    def metrics(self):
        return [self.total, self.reconstruction, self.kl]

    def train_step(self, x):
        vae = self.vae
        uniform = keras.random.uniform(ops.shape(x), seed=self.seed_generator)
        x = ops.cast(uniform < x, "float32")
        with tf.GradientTape() as tape:
            mean, log_variance = vae.encoder([x])
            noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
            z = mean + ops.exp(0.5 * log_variance) * noise
            logits = vae.decoder_image(vae.decoder_attention(vae.decoder_features([z])))
            reconstruction = ops.mean(
                ops.sum(
                    keras.losses.binary_crossentropy(x, logits, from_logits=True),
                    axis=(1, 2),
                )
            )
            log_posterior = -0.5 * ops.sum(
                ops.square(noise) + log_variance + np.log(2 * np.pi), axis=-1
            )
            kl = ops.mean(log_posterior - vae.prior(z)[1])
            loss = reconstruction + kl
        gradients = tape.gradient(loss, vae.trainable_variables)
        self.optimizer.apply_gradients(
            zip(gradients, vae.trainable_variables, strict=True)
        )
        self.total.update_state(loss)
        self.reconstruction.update_state(reconstruction)
        self.kl.update_state(kl)
        return {metric.name: metric.result() for metric in self.metrics}


def main():
    dataset = data.load("mnist")
    x = np.resize(dataset.x_train, (BATCHES * BATCH_SIZE, *dataset.x_train.shape[1:]))
    own, peer = AttentionVAE(), CustomTrainStep(AttentionVAE())
    seconds = {"tfattn": [], "custom train_step": []}
    for model in (own, peer):
        model.compile(keras.optimizers.Adam(1e-3))
    for repeat in range(-1, REPEATS):
        for name, model in zip(seconds, (own, peer), strict=True):
            started = time.perf_counter()
            model.fit(x, batch_size=BATCH_SIZE, verbose=0)
            if repeat >= 0:  # the first round compiles
                seconds[name].append(time.perf_counter() - started)
    speeds = {
        name: [len(x) / s for s in measured] for name, measured in seconds.items()
    }
    ratios = [
        a / b
        for a, b in zip(speeds["tfattn"], speeds["custom train_step"], strict=True)
    ]
    result = {
        "protocol": (
            f"{REPEATS} alternating blocks of {BATCHES} batches of {BATCH_SIZE} images "
            f"of {dataset.name}, graph mode, medians; ratio of neighboring blocks"
        ),
        "machine": f"{os.cpu_count()} CPU cores",
        "versions": {
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "python": platform.python_version(),
        },
        "images_per_second": {
            name: {
                "median": statistics.median(values),
                "lowest": min(values),
                "highest": max(values),
            }
            for name, values in speeds.items()
        },
        "ratio": {
            "median": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        },
    }
    path = Path(__file__).parent / "results" / "vae_throughput.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
