"""Is the run folder of README's first command what README promises?"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from tfattn.models import load_pretrained

LEAST_LEGIBLE = 0.6

run = Path(sys.argv[1])
promised = json.loads(Path("benchmarks/results/first_run.json").read_text())
found = json.loads((run / "metrics.json").read_text())
nats = found["negative_elbo"]["value"]
print(
    f"negative ELBO {nats:.2f} nats, promised {promised['low']:.2f} to "
    f"{promised['high']:.2f}; {found['training_seconds']} s of training"
)
assert promised["low"] <= nats <= promised["high"]
for name in ("samples.png", "attention.png"):
    with Image.open(run / name) as picture:
        print(f"{name}: {picture.width}×{picture.height} pixels")
        picture.load()
# Whether the digits are legible: of real ones a classifier is nearly always sure.
model = keras.saving.load_model(run / "model.keras")
logits = load_pretrained("classifier_mnist").predict(
    model.generate(100, seed=0), verbose=0
)
probabilities = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
legible = np.mean(probabilities.max(axis=1) > 0.9)
print(f"{legible:.0%} of 100 samples are recognized with a probability over 90 %")
assert legible >= LEAST_LEGIBLE
