"""How long epochs take with TensorFlow's tuner of data sets and without it.

    python benchmarks/epochs.py

Trains an AttentionVAE on the digits from the same batches in both ways, in turn, and
writes benchmarks/results/epochs.json.
"""

import os
import statistics
import time
from pathlib import Path

import keras
import tensorflow as tf

from tfattn import data
from tfattn.models import AttentionVAE
from tfattn.training import ShuffledBatches
from tfattn.training.batches import untuned
from tfattn.training.runs import write_json

RESULTS = Path(__file__).parent / "results" / "epochs.json"
BATCH_SIZE, EPOCHS, ROUNDS = 128, 5, 5


def main():
    batches = ShuffledBatches((data.load("digits").x_train,), BATCH_SIZE)
    models = {"tuned": AttentionVAE(), "untuned": AttentionVAE()}
    given = {"tuned": batches, "untuned": untuned(batches)}
    seconds = {way: [] for way in models}
    for way, model in models.items():
        model.compile(keras.optimizers.Adam(1e-3))
        model.fit(given[way], shuffle=False, verbose=0)  # compiles
    for _ in range(ROUNDS):
        for way, model in models.items():
            started = time.perf_counter()
            model.fit(given[way], shuffle=False, epochs=EPOCHS, verbose=0)
            seconds[way].append((time.perf_counter() - started) / EPOCHS)
    ratios = [a / b for a, b in zip(seconds["untuned"], seconds["tuned"], strict=True)]
    result = {
        "protocol": f"AttentionVAE on {len(batches)} batches of {BATCH_SIZE} digits; "
        f"{ROUNDS} trainings of {EPOCHS} epochs in each way, in turn in one process",
        "machine": f"{os.cpu_count()} CPU cores",
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "seconds_of_an_epoch": {
            way: statistics.median(times) for way, times in seconds.items()
        },
        "ratio": {
            "median": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        },
    }
    write_json(RESULTS, result)
    print(result)


if __name__ == "__main__":
    main()
