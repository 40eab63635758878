"""Puts the model of a measured run into the package.

python benchmarks/ship_weights.py runs/vae_mnist vae_mnist
"""

import hashlib
import json
import sys
from pathlib import Path

import keras

from tfattn.models.pretrained import WEIGHTS


def main(run, name):
    model = keras.saving.load_model(Path(run) / "model.keras")
    # Built anew without its optimizer, whose moments would triple the file.
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    weights = WEIGHTS / f"{name}.weights.h5"
    bare.save_weights(weights)
    arguments = {
        key: value
        for key, value in bare.get_config().items()
        if key not in ("name", "trainable", "dtype")
    }
    description = {
        "arguments": arguments,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "results": json.loads((Path(run) / "metrics.json").read_text()),
    }
    (WEIGHTS / f"{name}.json").write_text(json.dumps(description, indent=2) + "\n")
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
