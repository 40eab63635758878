"""Networks of the flow at equal minutes: U-Net, U-Net without attention, Transformer.

    python benchmarks/flow_networks.py --minutes 6

trains each on MNIST as `tfattn train flow` does, in as many whole epochs as its steps
fit into the minutes, and writes benchmarks/results/flow_networks.json. Generated images
are held against training images, so that the choice of a network leaves the test images
alone.
"""

import argparse
import os
import time
from pathlib import Path

import keras
import numpy as np

from tfattn import data
from tfattn.evaluation import generation_report
from tfattn.models import AttentionFlow, load_pretrained
from tfattn.training import recipe
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_json

RESULTS = Path(__file__).parent / "results" / "flow_networks.json"
NETWORKS = {
    "U-Net": {"network": "unet"},
    "U-Net without attention": {"network": "unet", "attention": None},
    "Transformer (DiT)": {"network": "dit"},
}
NUM_TIMED, NUM_JUDGED, NUM_REAL = 20, 5_000, 10_000
SAMPLING = {"num_steps": 16, "solver": "heun", "seed": 0}


def built(dataset, arguments):
    keras.utils.set_random_seed(0)
    return AttentionFlow(
        num_classes=10,
        pixel_mean=float(dataset.x_train.mean()),
        pixel_deviation=float(dataset.x_train.std()),
        **arguments,
    )


def seconds_of_a_step(model, batch):
    """After the steps that compile it."""
    recipe(model).compile(model, num_steps=1000)
    for _ in range(3):
        model.train_on_batch(*batch)
    started = time.perf_counter()
    for _ in range(NUM_TIMED):
        model.train_on_batch(*batch)
    return (time.perf_counter() - started) / NUM_TIMED


def measured(dataset, arguments, minutes):
    x, y, size = dataset.x_train, dataset.y_train, RECIPES[AttentionFlow].batch_size
    seconds = seconds_of_a_step(built(dataset, arguments), (x[:size], y[:size]))
    steps = -(-len(x) // size)
    epochs = max(1, round(60 * minutes / seconds / steps))
    model = built(dataset, arguments)
    recipe(model).compile(model, epochs * steps)
    started = time.perf_counter()
    model.fit(x, y, batch_size=size, epochs=epochs, verbose=2)
    seconds = time.perf_counter() - started
    order = np.random.default_rng(0).permutation(len(x))
    labels = y[order[:NUM_JUDGED]]
    report = generation_report(
        model.generate(NUM_JUDGED, labels, **SAMPLING),
        x[order[-NUM_REAL:]],
        features=load_pretrained("classifier_mnist"),
        labels=labels,
    )
    return {
        "parameters": model.trained_network.count_params(),
        "epochs": epochs,
        "minutes": seconds / 60,
        **report,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=6.0)
    minutes = parser.parse_args().minutes
    dataset, rows = data.load("mnist"), {}
    for name, arguments in NETWORKS.items():
        rows[name] = measured(dataset, arguments, minutes)
        print(name, rows[name], flush=True)
    write_json(
        RESULTS,
        {
            "protocol": (
                f"each trained for about {minutes:g} minutes, in whole epochs, one "
                f"seed; {NUM_JUDGED} generated images by class, 16 steps of Heun's "
                f"method, no guidance, against {NUM_REAL} training images, on features "
                "of the frozen classifier"
            ),
            "machine": f"{os.cpu_count()} CPU cores, {keras.backend.backend()}",
            "networks": rows,
        },
    )


if __name__ == "__main__":
    main()
